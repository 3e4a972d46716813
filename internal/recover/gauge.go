package recover

import "time"

// Stalls is how long some task has waited, since the boot, for want of
// something (pressure stall information).
type Stalls struct{ Memory, IO time.Duration }

// A Gauge measures the pressure that the host is under.
type Gauge interface {
	// Stalls fails on a kernel without pressure stall information.
	Stalls() (Stalls, error)
}

package recover

import "time"

// Stalls is how long some task has waited, since the boot, for want of
// something (pressure stall information).
type Stalls struct{ Memory, IO time.Duration }

// A Gauge tells how much the host suffers.
type Gauge interface {
	// Stalls fails on a kernel that does not tell.
	Stalls() (Stalls, error)
}

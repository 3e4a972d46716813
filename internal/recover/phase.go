package recover

import "time"

// Phase is where a Service stands.
type Phase string

// The phases, in the order in which a run passes through them.
const (
	Assessing  Phase = "assessing"
	Recovering Phase = "recovering"
	Ready      Phase = "ready"
	Stopping   Phase = "stopping"
)

// A NowState is what a container does at this moment, beside how its recovery went.
type NowState string

// What a container can do at this moment.
const (
	NowRunning    NowState = "running"
	NowRestarting NowState = "restarting" // it ended; systemd or podman starts it again
	NowDown       NowState = "down"
	NowUnknown    NowState = "unknown" // it could not be asked
)

// Status is what the control API tells of a Service.
type Status struct {
	State            Phase
	RecoveryComplete bool
	Progress         string
	Identity         Identity
	Uptime           time.Duration
	Recovery         Report
	Set              Snapshot
	Quarantine       Quarantine
	// Crashes, Unexplained and Quiet are those of the Casebook.
	Crashes            []Crash
	Unexplained, Quiet int
	// Now is what each container does at this moment, by name. A name that is not
	// there is NowUnknown.
	Now map[string]NowState
	// HeldUntil is when retries and paroles go on, zero or past if nothing is held.
	HeldUntil time.Time
	// JournalVolatile: the journal is in memory only, so the cause of the next crash will
	// not be known.
	JournalVolatile bool
	// Restarted: the last run ended in order in this very boot, so that there
	// was nothing to recover.
	Restarted bool
}

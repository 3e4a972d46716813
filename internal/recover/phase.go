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
	// Restarted: the last run ended in order in this very boot, so that there
	// was nothing to recover.
	Restarted bool
}

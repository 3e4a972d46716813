// Package control is the HTTP/JSON API on the activated socket, and its client.
// docs/openapi.yaml describes it.
package control

import (
	"time"

	"archy-recovery/internal/recover"
)

// Status answers GET /v1/status.
type Status struct {
	Instance         string        `json:"instance"` // "system", or the UID
	State            recover.Phase `json:"state"`
	RecoveryComplete bool          `json:"recoveryComplete"`
	// Progress is one line, such as "tier 1: 3 of 5 started", or the result.
	Progress      string          `json:"progress"`
	UptimeSeconds float64         `json:"uptimeSeconds"`
	PID           int             `json:"pid"`
	BootID        string          `json:"bootId"`
	Version       string          `json:"version"`
	Verdict       recover.Verdict `json:"verdict"`
	Started       time.Time       `json:"started,omitzero"`
	Finished      time.Time       `json:"finished,omitzero"`
	// RecoveryID is the number of this recovery in the history, 0 before it is
	// complete.
	RecoveryID  int           `json:"recoveryId,omitempty"`
	Mode        recover.Mode  `json:"mode,omitempty"`
	Containers  []recover.Row `json:"containers"`
	Notes       []string      `json:"notes,omitempty"`
	UserStopped []string      `json:"userStopped"`
	// Quarantine is who was in flight when the host crashed, quarantined or not.
	Quarantine recover.Quarantine `json:"quarantine"`
	Snapshot   recover.Snapshot   `json:"snapshot"`
}

// Failed lists the containers that should run and do not.
func (s Status) Failed() []recover.Row {
	var failed []recover.Row
	for _, row := range s.Containers {
		if row.State == recover.RowFailed {
			failed = append(failed, row)
		}
	}
	return failed
}

// UserStopped answers GET /v1/user-stopped, and says after PUT and DELETE
// whether they changed anything.
type UserStopped struct {
	Names   []string `json:"names"`
	Changed bool     `json:"changed"`
}

// Quarantine answers GET /v1/quarantine, and DELETE of a name.
type Quarantine struct {
	Suspects recover.Quarantine `json:"suspects"`
}

// Recoveries answers GET /v1/recoveries: the history, oldest first.
type Recoveries struct {
	Recoveries []recover.Report `json:"recoveries"`
}

// Problem is an error answer (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

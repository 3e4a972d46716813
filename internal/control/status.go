package control

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"archy-recovery/internal/recover"
)

// Status answers GET /v1/status, and is the data of each event of GET /v1/events.
type Status struct {
	Instance         string        `json:"instance"` // "system", or the UID
	State            recover.Phase `json:"state"`
	RecoveryComplete bool          `json:"recoveryComplete"`
	// Progress is one line: such as "tier 1: 3 of 5 started" during recovery,
	// the result after it.
	Progress      string          `json:"progress"`
	UptimeSeconds float64         `json:"uptimeSeconds"` // of the daemon
	PID           int             `json:"pid"`
	BootID        string          `json:"bootId"`
	Version       string          `json:"version"`
	Verdict       recover.Verdict `json:"verdict"`
	Started       time.Time       `json:"started,omitzero"`  // zero before recovery starts
	Finished      time.Time       `json:"finished,omitzero"` // zero before recovery is complete
	// RecoveryID is the number of this recovery in the history, 0 before
	// recovery is complete.
	RecoveryID int          `json:"recoveryId,omitempty"`
	Mode       recover.Mode `json:"mode,omitempty"`
	// Containers are those of this recovery. Each says what it does at this moment,
	// and Now counts that.
	Containers  []recover.Row `json:"containers"`
	Now         NowCounts     `json:"now"`
	Notes       []string      `json:"notes,omitempty"`
	UserStopped []string      `json:"userStopped"`
	// Quarantine lists all suspects, quarantined or not.
	Quarantine recover.Quarantine `json:"quarantine"`
	Snapshot   recover.Snapshot   `json:"snapshot"`
	// HeldUntil is when retries and paroles go on, zero if nothing is held.
	HeldUntil time.Time `json:"heldUntil,omitzero"`
}

// NotRecovered lists the containers that should run and were not recovered, as the
// report stands now: those that are missing, quarantined or held back, and those that
// failed, fell, or are restarting.
func (s Status) NotRecovered() []recover.Row {
	return recover.Report{Rows: s.Containers}.NotRecovered()
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "status")
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) {
	st, _ := s.status()
	s.writeJSON(w, st)
}

// heldUntil is when a hold ends, zero without one.
func heldUntil(st recover.Status, now time.Time) time.Time {
	if !st.HeldUntil.After(now) {
		return time.Time{}
	}
	return st.HeldUntil
}

// status returns the status, and a channel that is closed when the status is
// out of date.
func (s *Server) status() (Status, <-chan struct{}) {
	st, changed := s.service.Status()
	notes := st.Recovery.Notes
	stopped, err := s.service.UserStopped()
	if err != nil {
		notes = append(notes, fmt.Sprintf("the user-stopped list cannot be read: %v", err))
	}
	progress := st.Progress
	if st.RecoveryComplete {
		progress = st.Recovery.Summary()
	}
	rows, now := rowsNow(st.Recovery.Rows, st.Now)
	held := heldUntil(st, time.Now())
	for i, row := range rows {
		if retry := row.Retry; retry != nil && !retry.Next.IsZero() && retry.Next.Before(held) {
			later := *retry
			later.Next = held
			rows[i].Retry = &later
		}
	}
	return Status{
		Instance:         s.instance,
		State:            st.State,
		RecoveryComplete: st.RecoveryComplete,
		Progress:         progress,
		UptimeSeconds:    st.Uptime.Seconds(),
		PID:              st.Identity.PID,
		BootID:           st.Identity.BootID,
		Version:          s.version,
		Verdict:          st.Recovery.Verdict,
		Started:          st.Recovery.Started,
		Finished:         st.Recovery.Finished,
		Containers:       rows,
		Now:              now,
		Notes:            notes,
		UserStopped:      orEmpty(stopped),
		Quarantine:       orEmpty(st.Quarantine),
		RecoveryID:       st.Recovery.ID,
		Mode:             st.Recovery.Mode,
		Snapshot:         withContainers(st.Set),
		HeldUntil:        held,
	}, changed
}

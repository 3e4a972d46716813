package recover

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// RowState is where a container stands in a recovery.
type RowState string

// The states of a row. The first group can still change; docs/architecture.md
// draws the transitions.
const (
	RowQueued   RowState = "queued"   // waits for its tier, or for a free place in it
	RowStarting RowState = "starting" // its start job runs
	RowRetrying RowState = "retrying" // its first attempt failed; the second follows

	RowUp          RowState = "up"           // started by us, and active
	RowActive      RowState = "active"       // ran already
	RowFailed      RowState = "failed"       // both attempts failed, or time ran out
	RowDeferred    RowState = "deferred"     // ordered after us; starts after READY
	RowSkipped     RowState = "skipped"      // systemd skipped it: a condition is not met
	RowMissing     RowState = "missing"      // nobody knows it any more
	RowUserStopped RowState = "user-stopped" // stopped on purpose
)

// Pending reports whether the state can still change.
func (s RowState) Pending() bool {
	return s == RowQueued || s == RowStarting || s == RowRetrying
}

// A Row is one container of a recovery.
type Row struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Unit  string `json:"unit,omitempty"`
	// Generated: the container has no unit of its own, podman generated one to
	// start it.
	Generated bool     `json:"generated,omitempty"`
	Tier      int      `json:"tier"`
	State     RowState `json:"state"`
	Attempts  int      `json:"attempts"`
	// Started is when the first attempt began, Ended when the last one did.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Error is why the last attempt failed, or why there was none.
	Error string `json:"error,omitempty"`
}

// A Report is a recovery as it stands, or as it went.
type Report struct {
	Verdict  Verdict   `json:"verdict"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Rows     []Row     `json:"containers"`
	// Notes are what went wrong beside the containers, for the operator.
	Notes []string `json:"notes,omitempty"`
}

// Counts returns how many rows are in each state.
func (r Report) Counts() map[RowState]int {
	n := map[RowState]int{}
	for _, row := range r.Rows {
		n[row.State]++
	}
	return n
}

// Failed reports whether something that should run does not.
func (r Report) Failed() bool { return r.Counts()[RowFailed] > 0 }

// Summary is the report in one line, fit for STATUS=.
func (r Report) Summary() string {
	n := r.Counts()
	up, failed := n[RowUp]+n[RowActive], n[RowFailed]
	switch {
	case len(r.Rows) == 0:
		return "complete: nothing to start"
	case failed > 0:
		return fmt.Sprintf("complete with %d failed: %d of %d containers run", failed, up, up+failed)
	default:
		return fmt.Sprintf("complete: %d containers run, %d of them started", up, n[RowUp])
	}
}

// Rows lays the plan out as a report's rows, in start order.
func (p Plan) Rows() []Row {
	rows := []Row{}
	for _, batch := range p.Batches {
		for _, s := range batch.Starts {
			rows = append(rows, Row{Name: s.Name, Image: s.Image, Unit: s.Unit, Generated: s.Generated, Tier: s.Tier, State: RowQueued})
		}
	}
	for _, s := range p.Skips {
		rows = append(rows, Row{Name: s.Name, Image: s.Image, Unit: s.Unit, Tier: s.Tier, State: s.State, Error: s.Reason})
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

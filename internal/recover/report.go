package recover

import (
	"fmt"
	"time"
)

// A Row is one container of a recovery.
type Row struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Unit  string `json:"unit,omitempty"`
	// Generated: the container has no unit of its own, podman generated one to
	// start it.
	Generated bool `json:"generated,omitempty"`
	Tier      int  `json:"tier"`
	// Alone: it is started after all others and by itself, since it was in
	// flight when the host crashed, or needs one that was, or since the kernel
	// command line asks for it.
	Alone bool `json:"alone,omitempty"`
	// Strikes is how many crashes of the host it was in flight at.
	Strikes int      `json:"strikes,omitempty"`
	State   RowState `json:"state"`
	// Ending: it has died, and its unit has yet to end.
	Ending bool `json:"-"`
	// Queued is when its turn came, zero if it never did.
	Queued time.Time `json:"queued,omitzero"`
	// Attempts are the starts that were made, oldest first.
	Attempts []Attempt `json:"attempts"`
	// Waits is when it waited for a mount or for another container, oldest first.
	Waits []Wait `json:"waits,omitempty"`
	// Error is why the last attempt failed, or why there was none.
	Error string `json:"error,omitempty"`
}

// An Attempt is one start of a container.
type Attempt struct {
	Started time.Time `json:"started"`
	// Ended is when the container was up, or the attempt had failed; zero
	// while it goes on.
	Ended time.Time `json:"ended,omitzero"`
	// Result is the service's own Result after it, such as exit-code
	// (org.freedesktop.systemd1(5)).
	Result string `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// A Wait is a time in which a container was not started for want of another, or
// of a mount.
type Wait struct {
	Began time.Time `json:"began"`
	// Ended is zero while it goes on.
	Ended time.Time `json:"ended,omitzero"`
}

// Started is when the first attempt began, zero without one.
func (r Row) Started() time.Time {
	if len(r.Attempts) == 0 {
		return time.Time{}
	}
	return r.Attempts[0].Started
}

// Ended is when the last attempt ended, zero without one and while it goes on.
func (r Row) Ended() time.Time {
	if len(r.Attempts) == 0 {
		return time.Time{}
	}
	return r.Attempts[len(r.Attempts)-1].Ended
}

// Took is the time from the first attempt's start to the last one's end, zero
// while that is not over.
func (r Row) Took() time.Duration {
	if r.Ended().IsZero() {
		return 0
	}
	return r.Ended().Sub(r.Started())
}

// A Report is a recovery as it stands, or as it went.
type Report struct {
	// ID numbers the recoveries of one data directory; 0 for one that is not in
	// its history yet.
	ID int `json:"id,omitempty"`
	// BootID is the boot that it happened in.
	BootID   string    `json:"bootId"`
	Mode     Mode      `json:"mode,omitempty"`
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
	line := fmt.Sprintf("complete: %d containers run, %d of them started", up, n[RowUp])
	switch {
	case len(r.Rows) == 0:
		return "complete: nothing to start"
	case n[RowHeld] > 0:
		line = fmt.Sprintf("complete: %d containers held back, %d run", n[RowHeld], up)
	case failed > 0:
		line = fmt.Sprintf("complete with %d failed: %d of %d containers run", failed, up, up+failed)
	}
	if n[RowQuarantined] > 0 {
		line += fmt.Sprintf(", %d quarantined", n[RowQuarantined])
	}
	return line
}

package recover

import (
	"fmt"
	"time"
)

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

// allMissing reports whether neither podman nor a unit knows any of the
// containers. They were hardly all removed at once: the disk that they lie on is
// not there, and may be later.
func (r Report) allMissing() bool {
	return len(r.Rows) > 0 && r.Counts()[RowMissing] == len(r.Rows)
}

// CarriedOver is the set that recovery hands on at READY: all containers that
// should run, also those that could not be brought up. last is the set that
// recovery worked from; it knows more of a container than a row does.
func (r Report) CarriedOver(last []Container) []Container {
	allMissing := r.allMissing()
	known := map[string]Container{}
	for _, c := range last {
		known[c.Name] = c
	}
	var set []Container
	for _, row := range r.Rows {
		if row.State == RowUserStopped || row.State == RowMissing && !allMissing {
			continue
		}
		c := known[row.Name]
		c.Name, c.Image, c.Unit = row.Name, row.Image, row.Unit
		if row.Generated {
			c.Unit = "" // it only starts the container, and later says nothing of it
		}
		c.Unrecovered = row.State != RowUp && row.State != RowActive
		set = append(set, c)
	}
	return set
}

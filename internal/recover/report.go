package recover

import (
	"fmt"
	"slices"
	"strings"
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
	// StorageThere: podman knew some container when the plan was made.
	StorageThere bool `json:"-"`
}

// Counts returns how many rows are in each state.
func (r Report) Counts() map[RowState]int {
	n := map[RowState]int{}
	for _, row := range r.Rows {
		n[row.State]++
	}
	return n
}

// NotRecovered returns the rows of the containers that should run and do not. After READY one
// that is being tried again is among them.
func (r Report) NotRecovered() []Row {
	var rows []Row
	for _, row := range r.Rows {
		if row.State.NotRecovered() || row.BeingRetried() {
			rows = append(rows, row)
		}
	}
	return rows
}

// IndexRow is the index of the row with a name, -1 without one.
func IndexRow(rows []Row, name string) int {
	return slices.IndexFunc(rows, func(row Row) bool { return row.Name == name })
}

// With is the report with other rows in place of those with the same names.
func (r Report) With(rows []Row) Report {
	r.Rows = slices.Clone(r.Rows)
	for _, row := range rows {
		if i := IndexRow(r.Rows, row.Name); i >= 0 {
			r.Rows[i] = row
		}
	}
	return r
}

// Failed reports whether something that should run does not.
func (r Report) Failed() bool { return len(r.NotRecovered()) > 0 }

// Summary is the report in one line, fit for STATUS=.
func (r Report) Summary() string { return r.summary("run") }

// summary is Summary with the verb for what the containers that are up do.
func (r Report) summary(run string) string {
	n := r.Counts()
	up, missed := n[RowUp]+n[RowActive], len(r.NotRecovered())
	var line string
	switch {
	case len(r.Rows) == 0:
		return "complete: nothing to start"
	case missed == 0:
		line = fmt.Sprintf("complete: %d containers %s, %d of them started", up, run, n[RowUp])
	case missed == n[RowHeld]:
		line = fmt.Sprintf("complete: %d containers held back, %d %s", missed, up, run)
	default:
		line = fmt.Sprintf("complete with %d not recovered: %d of %d containers %s; %s",
			missed, up, up+missed, run, r.countStates())
	}
	if done := n[RowDone]; done == 1 {
		line += "; 1 job is done"
	} else if done > 0 {
		line += fmt.Sprintf("; %d jobs are done", done)
	}
	if waits := n[RowNeedsStopped]; waits == 1 {
		line += "; 1 needs a stopped one"
	} else if waits > 1 {
		line += fmt.Sprintf("; %d need stopped ones", waits)
	}
	if r.allMissing() {
		line += ": is the disk that holds the containers mounted?"
	}
	return line
}

// countStates says how many rows are in each of the states that are not recovered.
func (r Report) countStates() string {
	var parts []string
	n, retried := r.Counts(), 0
	for _, row := range r.Rows {
		if row.BeingRetried() {
			retried++
		}
	}
	for _, state := range notRecovered {
		if n[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	if retried > 0 {
		parts = append(parts, fmt.Sprintf("%d being tried again", retried))
	}
	return strings.Join(parts, ", ")
}

// allMissing reports whether neither podman nor a unit knows any of the containers
// that would be started. They were hardly all removed at once: the disk that they lie
// on is not there, and may be later.
func (r Report) allMissing() bool {
	n := r.Counts()
	return n[RowMissing] > 0 && n[RowMissing]+n[RowUserStopped]+n[RowNeedsStopped]+n[RowQuarantined] == len(r.Rows)
}

// CarriedOver is the set that recovery hands on at READY: all containers that
// should run, also those that could not be brought up, but no job that has ended. A
// job may be starting still. last is the set that recovery worked from; it knows more
// of a container than a row does.
//
// A missing container stays until it was missing in ForgottenAfter boots. If all are
// missing, and podman knows no other container either, its storage is not there, and the
// boot does not count.
func (r Report) CarriedOver(last []Container) []Container {
	there := r.StorageThere || !r.allMissing()
	known := map[string]Container{}
	for _, c := range last {
		known[c.Name] = c
	}
	var set []Container
	for _, row := range r.Rows {
		if row.State == RowUserStopped || row.jobIsOver() {
			continue
		}
		c := known[row.Name]
		if row.State != RowMissing && !row.Absent {
			c.Missing = nil
		} else if c.Missing = c.Missing.in(r.BootID, there); c.Missing.Boots >= ForgottenAfter {
			continue
		}
		c.Name, c.Image, c.Unit = row.Name, row.Image, row.Unit
		if row.Generated {
			c.Unit = "" // it only starts the container, and later says nothing of it
		}
		c.Job = row.Job
		c.Unrecovered = row.State != RowUp && row.State != RowActive && row.State != RowStarting
		set = append(set, c)
	}
	return set
}

// Owed names the members of the set now that recovery has not even tried to start, and
// that have not run since: the next start has to. After a run that ended in order, a
// start holds back only what each boot starts.
func (r Report) Owed(set []Container) []string {
	down := map[string]bool{}
	for _, c := range set {
		down[c.Name] = c.Unrecovered
	}
	noStorage := r.allMissing() && !r.StorageThere
	var names []string
	for _, row := range r.Rows {
		owed := row.untried() || row.State == RowHeld && r.Verdict.Unclean() || row.State == RowMissing && noStorage
		if owed && down[row.Name] {
			names = append(names, row.Name)
		}
	}
	return names
}

// untried reports whether the row failed though its container was never started.
func (r Row) untried() bool {
	return (r.State == RowFailed || r.BeingRetried()) && (len(r.Attempts) == 0 || r.Unasked)
}

// jobIsOver reports whether the row is a job that has ended, in whatever way, or that
// is left alone.
func (r Row) jobIsOver() bool {
	switch r.State {
	case RowDone, RowFell, RowSkipped:
		return r.Job
	case RowFailed:
		return r.Job && !r.untried()
	}
	return false
}

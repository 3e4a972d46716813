package recover

import (
	"slices"
	"time"
)

// RowState is where a container stands in a recovery.
type RowState string

// The states of a row. The first group can still change; docs/recovery.md
// draws the transitions.
const (
	RowQueued   RowState = "queued"   // waits for its tier, or for a free place in it
	RowWaiting  RowState = "waiting"  // waits for a mount, or for a container that it needs
	RowStarting RowState = "starting" // its start job runs
	RowRetrying RowState = "retrying" // its first attempt failed; the second follows

	RowUp          RowState = "up"           // started by us, and active
	RowActive      RowState = "active"       // ran already
	RowFailed      RowState = "failed"       // both attempts failed, or time ran out
	RowDeferred    RowState = "deferred"     // ordered after us; starts after READY
	RowSkipped     RowState = "skipped"      // systemd skipped it: a condition is not met
	RowMissing     RowState = "missing"      // nobody knows it any more
	RowUserStopped RowState = "user-stopped" // stopped on purpose
	RowQuarantined RowState = "quarantined"  // took the host down too often, or needs one that did
	RowHeld        RowState = "held"         // archy.recovery=off: nothing is started
)

// Pending reports whether the state can still change.
func (s RowState) Pending() bool { return len(transitions[s]) > 0 }

// transitions lists the states that can follow each state.
var transitions = map[RowState][]RowState{
	RowQueued:   {RowStarting, RowFailed},
	RowWaiting:  {RowQueued, RowFailed},
	RowStarting: {RowUp, RowRetrying, RowWaiting, RowFailed, RowDeferred, RowSkipped, RowUserStopped},
	RowRetrying: {RowQueued, RowFailed},
}

// Move changes the state. A change that docs/recovery.md does not draw is a
// mistake in this package.
func (r *Row) Move(to RowState) {
	if !slices.Contains(transitions[r.State], to) {
		panic("no transition from " + string(r.State) + " to " + string(to))
	}
	r.keepWaits(to)
	r.State = to
}

// keepWaits changes the list of waits; others hold the old one, and keep it.
func (r *Row) keepWaits(to RowState) {
	switch RowWaiting {
	case to:
		r.Waits = append(slices.Clone(r.Waits), Wait{Began: time.Now()})
	case r.State:
		if n := len(r.Waits); n > 0 {
			r.Waits = slices.Clone(r.Waits)
			r.Waits[n-1].Ended = time.Now()
		}
	}
}

// RowStates lists the states, in the order in which they stand above.
func RowStates() []RowState {
	return []RowState{
		RowQueued, RowWaiting, RowStarting, RowRetrying,
		RowUp, RowActive, RowFailed, RowDeferred, RowSkipped, RowMissing, RowUserStopped, RowQuarantined, RowHeld,
	}
}

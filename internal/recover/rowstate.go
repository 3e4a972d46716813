package recover

import (
	"slices"
	"time"
)

// RowState is where a container stands in a recovery.
type RowState string

// The states of a row. READY waits for the first group. The others can still change
// where docs/recovery.md draws a transition: a container that is up can end.
const (
	RowQueued   RowState = "queued"   // waits for its tier, or for a free place in it
	RowWaiting  RowState = "waiting"  // waits for a mount, a container that it needs, or the network
	RowStarting RowState = "starting" // its start job runs
	RowRetrying RowState = "retrying" // its first attempt failed; the second follows

	RowUp           RowState = "up"            // started by us, and it runs
	RowRestarting   RowState = "restarting"    // systemd or podman starts it again and again
	RowFell         RowState = "fell"          // it was up, and ended within its soak
	RowDone         RowState = "done"          // a job that has ended with exit code 0
	RowActive       RowState = "active"        // ran already, or something else has started it since
	RowFailed       RowState = "failed"        // both attempts failed, or time ran out
	RowNoNetwork    RowState = "no-network"    // waits for the network longer than READY waits for that
	RowDeferred     RowState = "deferred"      // ordered after us; starts after READY
	RowSkipped      RowState = "skipped"       // systemd skipped it, or stopped it because of another unit
	RowDamaged      RowState = "damaged"       // its image or layer is damaged in podman's storage; not started
	RowMissing      RowState = "missing"       // neither podman nor a unit knows it any more
	RowUserStopped  RowState = "user-stopped"  // stopped on purpose
	RowNeedsStopped RowState = "needs-stopped" // its start would start one that was stopped on purpose
	RowQuarantined  RowState = "quarantined"   // took the host down too often, or needs one that did
	RowHeld         RowState = "held"          // archy.recovery=off: nothing is started
)

// rowStates lists the states in order, and after each those that can follow it.
var rowStates = []struct {
	state RowState
	next  []RowState
}{
	{RowQueued, []RowState{RowStarting, RowFailed, RowFell, RowWaiting, RowNeedsStopped}},
	{RowWaiting, []RowState{RowQueued, RowFailed, RowNeedsStopped, RowNoNetwork, RowActive, RowUserStopped}},
	{RowStarting, []RowState{
		RowUp, RowRetrying, RowWaiting, RowFailed, RowDeferred, RowSkipped, RowUserStopped,
		RowNeedsStopped, RowRestarting, RowFell, RowDone, RowActive, RowDamaged,
	}},
	{RowRetrying, []RowState{RowQueued, RowFailed, RowFell, RowWaiting}},
	{RowUp, []RowState{RowRetrying, RowRestarting, RowFell, RowDone, RowUserStopped, RowSkipped}},
	{RowRestarting, []RowState{RowUp, RowFell, RowDone, RowUserStopped, RowSkipped}},
	{RowFell, []RowState{RowQueued, RowActive, RowUserStopped}},
	{state: RowDone},
	{state: RowActive},
	{RowFailed, []RowState{RowQueued, RowActive, RowUserStopped}},
	{RowNoNetwork, []RowState{RowQueued, RowActive, RowUserStopped}},
	{state: RowDeferred},
	{state: RowSkipped},
	{RowDamaged, []RowState{RowQueued}},
	{state: RowMissing},
	{state: RowUserStopped},
	{RowNeedsStopped, []RowState{RowQueued, RowActive, RowUserStopped}},
	{state: RowQuarantined},
	{state: RowHeld},
}

// transitions are the states that can follow each state.
var transitions = func() map[RowState][]RowState {
	next := map[RowState][]RowState{}
	for _, s := range rowStates {
		next[s.state] = s.next
	}
	return next
}()

// RowStates lists the states: those that READY waits for, then the others.
func RowStates() []RowState {
	var all []RowState
	for _, s := range rowStates {
		all = append(all, s.state)
	}
	return all
}

// Pending reports whether an attempt is under way or still to come, so that READY
// waits for it.
func (s RowState) Pending() bool {
	switch s {
	case RowQueued, RowWaiting, RowStarting, RowRetrying:
		return true
	}
	return false
}

// NotRecovered reports whether a container in this state should run and does not.
func (s RowState) NotRecovered() bool { return slices.Contains(notRecovered, s) }

// FailedOrFell reports whether it was started and is down for it.
func (s RowState) FailedOrFell() bool { return s == RowFailed || s == RowFell }

// notRecovered are the states of containers that should run and do not, in the order
// in which Summary counts them.
var notRecovered = []RowState{
	RowFailed, RowFell, RowRestarting, RowDamaged, RowNoNetwork, RowQuarantined, RowMissing, RowHeld,
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

// keepWaits begins or ends a wait. It replaces the list of waits: holders of the old
// list keep that as it was.
func (r *Row) keepWaits(to RowState) {
	waits := func(s RowState) bool { return s == RowWaiting || s == RowNoNetwork }
	switch {
	case waits(r.State) == waits(to):
	case waits(to):
		r.Waits = append(slices.Clone(r.Waits), Wait{Began: time.Now()})
	case len(r.Waits) > 0:
		r.Waits = slices.Clone(r.Waits)
		r.Waits[len(r.Waits)-1].Ended = time.Now()
	}
}

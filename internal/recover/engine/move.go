package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"archy-recovery/internal/recover"
)

// delaysReady reports whether READY waits for this row: it is pending. A job need only
// have been given its turn.
func delaysReady(row recover.Row) bool {
	return row.State.Pending() && (!row.Job || row.State == recover.RowQueued)
}

// toCome reports whether an attempt is under way or may still come.
func toCome(row recover.Row) bool { return row.State.Pending() || row.State == recover.RowNoNetwork }

// moves reports whether the tiers go on for this row: READY waits for it, and it does
// not wait.
func moves(row recover.Row) bool {
	return !row.Grouped() && delaysReady(row) && row.State != recover.RowWaiting
}

// observeMove is told each change of a row's state; tests look in.
var observeMove = func(from, to recover.RowState) {}

// move changes a row's state, and counts it.
func (r *Run) move(i int, to recover.RowState) {
	row := &r.rows[i]
	before := *row
	observeMove(row.State, to)
	row.Move(to)
	r.left += number(delaysReady(*row)) - number(delaysReady(before))
	r.moving += number(moves(*row)) - number(moves(before))
}

// number is 1 for true.
func number(is bool) int {
	if is {
		return 1
	}
	return 0
}

// set moves a row to a state and reports that. When a row ends its soak begins,
// and the rows that wait for it go on or fail.
func (r *Run) set(i int, state recover.RowState, kind EventKind, why string) {
	row := &r.rows[i]
	r.move(i, state)
	row.Error = why
	if state != recover.RowUp {
		row.Health = ""
		r.health.drop(i)
	}
	if r.settles(i) {
		delete(r.unsettled, i)
	}
	r.retries.plan(r, i)
	r.tell(kind, i)
	switch last := row.LastAttempt(); {
	case state == recover.RowWaiting && last != nil && last.Offline:
		r.flight.Soak(row.Name, r.policy.Soak) // it was started, and waits for the next start
	case state == recover.RowWaiting, state == recover.RowDeferred, state == recover.RowDamaged:
		r.flight.Cancel(row.Name) // it was not started
	}
	r.order.release(r, i)
	if toCome(*row) {
		return
	}
	r.flight.Soak(row.Name, r.policy.Soak)
	if !r.health.delay(i) {
		r.release(i)
		if state == recover.RowUp || state == recover.RowActive {
			r.retries.arrived(r, i)
		}
	}
}

// tell tells an event of a row.
func (r *Run) tell(kind EventKind, i int) {
	r.notify(Event{Kind: kind, Tier: r.rows[i].Tier, Index: i, Row: r.rows[i]})
}

// settles reports whether the next tier need not wait for a row any more. It waits for one
// that waits for a mount, and for one that has yet to be healthy.
func (r *Run) settles(i int) bool {
	row := r.rows[i]
	forMount := row.State == recover.RowWaiting && r.needs[i] == nil && r.order.waiting[i] == nil && !r.offline.rows[i]
	return !forMount && !(r.health.delay(i) && row.AwaitHealth > recover.HealthForNeeding)
}

// giveUp closes what is pending at the deadline. Its start jobs go on without
// us: a container that is slow to become ready is not killed for it.
func (r *Run) giveUp(ctx context.Context) {
	r.expired = !r.ready
	r.health.giveUp(r)
	r.offline.pass(ctx, r)
	spared := func(i int) bool { return r.rows[i].BeingRetried() } // its tries have no end
	maps.DeleteFunc(r.needs, func(i int, _ []int) bool { return !spared(i) })
	maps.DeleteFunc(r.order.waiting, func(i int, _ []need) bool { return !spared(i) })
	r.queue = slices.DeleteFunc(r.queue, func(i int) bool { return !spared(i) })
	for i, row := range r.rows {
		if !row.State.Pending() || spared(i) {
			continue
		}
		why := fmt.Sprintf("not up when recovery ended at its deadline of %s", r.policy.Deadline)
		if row.Error != "" {
			why += ": " + row.Error
		}
		r.rows[i].EndAttempt("", why)
		if last := row.LastAttempt(); row.State == recover.RowRetrying && last.Fell != nil {
			r.set(i, recover.RowFell, Fell, why)
		} else {
			r.set(i, recover.RowFailed, GaveUp, why)
		}
		if row.State == recover.RowStarting {
			r.explain(ctx, i)
		}
	}
}

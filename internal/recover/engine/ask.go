package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// ErrOver means that the run takes nothing up any more: the host goes down, or the daemon stops.
var ErrOver = errors.New("containers are not started any more: the host, or this service, is stopping")

// Ask has the goroutine that owns the run do something between two steps of Do, Follow or Serve,
// and waits for that.
func (r *Run) Ask(ctx context.Context, do func()) error {
	done := make(chan struct{})
	select {
	case r.asks <- func() { defer close(done); do() }:
	case <-r.over:
		return ErrOver
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

// Hold keeps all tries after READY until then. A moment in the past ends that. It is to be
// called by way of Ask, or before Do.
func (r *Run) Hold(until time.Time) {
	r.retries.held = until
	if !until.After(time.Now()) {
		return
	}
	for i, row := range r.rows { // what has not had its turn yet is put off
		if row.State == recover.RowQueued && row.BeingRetried() && !row.Retry.ByHand {
			r.queue = slices.DeleteFunc(r.queue, func(j int) bool { return i == j })
			uncount(&r.rows[i])
			r.retries.postpone(r, i, row.Error)
		}
	}
}

// A CannotRetry is the error of a row that cannot be tried again by hand.
type CannotRetry struct {
	Name string
	// State is that of the row, empty if there is no such row.
	State recover.RowState
}

func (e *CannotRetry) Error() string {
	if e.State == "" {
		return fmt.Sprintf("%s is no container of this recovery", e.Name)
	}
	return fmt.Sprintf("%s is %s", e.Name, e.State)
}

// Again has a row tried at once, whatever its back-off and a hold say; without a name all that
// are tried again by themselves. It returns their names. It is to be called by way of Ask.
func (r *Run) Again(name string) (names []string, err error) {
	if name != "" {
		i := recover.IndexRow(r.rows, name)
		if i < 0 {
			return nil, &CannotRetry{Name: name}
		}
		if !r.tryNow(i) {
			return nil, &CannotRetry{name, r.rows[i].State}
		}
		return []string{name}, nil
	}
	for i, row := range r.rows {
		open := row.NotRetried() == "" || row.State == recover.RowNoNetwork || row.BeingRetried() || r.isAllowed(i)
		if open && r.tryNow(i) {
			names = append(names, row.Name)
		}
	}
	return names, nil
}

// tryNow has one row tried at once, and reports whether that can be.
func (r *Run) tryNow(i int) bool {
	row := &r.rows[i]
	switch row.State {
	case recover.RowFailed, recover.RowFell, recover.RowDamaged, recover.RowNeedsStopped:
		r.retries.forced[i] = true
		r.planNow(i)
	case recover.RowWaiting, recover.RowNoNetwork:
		r.waits[i]++ // what it waits for does not matter any more
		delete(r.needs, i)
		delete(r.order.waiting, i)
		r.requeue(i)
	case recover.RowQueued, recover.RowStarting, recover.RowRetrying: // it is being tried
	default:
		return false
	}
	return true
}

func triesOf(row recover.Row) int {
	if row.Retry == nil {
		return 0
	}
	return row.Retry.Tries
}

// Hurry has a row tried at once, since what it lacked has arrived. It is to be called by way of
// Ask.
func (r *Run) Hurry(name string) {
	if i := recover.IndexRow(r.rows, name); i >= 0 {
		r.retries.hurry(r, i)
	}
}

// A Sight is what a look at the host shows.
type Sight struct {
	Began time.Time
	// Runs reports whether a row's container runs, and Member whether it is to run.
	Runs, Member func(recover.Row) bool
	// Allowed reports whether the user has allowed a container again that was stopped.
	Allowed func(name string) bool
	// Units are the states of units.
	Units map[string]recover.UnitState
}

// See takes up what a look at the host shows of the rows that are tried again: what something
// else has started, what somebody has stopped, removed or reset. It is to be called by way of
// Ask.
func (r *Run) See(s Sight) {
	for i, row := range r.rows {
		if row.State == recover.RowNeedsStopped {
			r.seeAllowed(i, s)
			continue
		}
		_, planned := r.retries.due[i]
		waits := row.State == recover.RowNoNetwork || row.State == recover.RowWaiting && r.ready
		if !planned && !waits || lastChange(row).After(s.Began) {
			continue
		}
		unit := s.Units[row.Unit]
		switch {
		case s.Runs(row):
			r.set(i, recover.RowActive, FoundUp, "")
		case !s.Member(row):
			r.set(i, recover.RowUserStopped, Skipped, notToRun)
		case !planned || row.Generated:
		case unit.Active == "failed":
			seen := *row.Retry
			seen.SeenFailed = true
			r.rows[i].Retry = &seen
		case unit.Active == "inactive" && unit.Loaded && row.Retry.SeenFailed:
			r.rows[i].Retry = &recover.Retry{Tries: row.Retry.Tries, Ended: RetryReset}
			r.retries.plan(r, i)
			r.tell(RetryEnded, i)
		}
	}
}

// notToRun is why a container is user-stopped after READY.
const notToRun = "it is not to run any more: it was stopped, masked, removed, or put on the user-stopped list"

// RetryReset is why the tries of a container end whose unit was reset.
const RetryReset = "someone has reset the failure of its unit (systemctl reset-failed)"

// lastChange is when a row's container ended, or its last attempt did, or its wait began.
func lastChange(row recover.Row) (at time.Time) {
	if last := row.LastAttempt(); last != nil {
		at = last.Ended
		if last.Fell != nil && last.Fell.At.After(at) {
			at = last.Fell.At
		}
	}
	if n := len(row.Waits); n > 0 && row.Waits[n-1].Began.After(at) {
		at = row.Waits[n-1].Began
	}
	return at
}

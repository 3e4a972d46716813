package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// An attempt is what a start reports back. One that lasts longer than the tier's
// deadline reports twice: first that it gives its place to others, so that hung
// containers do not use up all places, then its end.
type attempt struct {
	row        int
	freesPlace bool
	ended      bool
	outcome    recover.Outcome
	err        error
}

// fill starts the rows in the queue, as far as there are places. It reports whether a
// job is among them.
func (r *Run) fill(ctx context.Context) (job bool) {
	r.again = time.Time{}
	for len(r.queue) > 0 && r.busy < r.pace.places {
		i, again := r.late.next(r)
		if i < 0 {
			r.again = again
			break
		}
		r.busy++
		r.tries[i]++
		limit := r.policy.SecondAttempt
		if r.tries[i] == 1 {
			limit = r.policy.FirstAttempt
		}
		row := &r.rows[i]
		r.flight.Add(append(slices.Clone(r.retries.under[i].along), row.Name)...)
		r.move(i, recover.RowStarting)
		row.Error = ""
		row.BeginAttempt()
		r.notify(Event{Kind: Starting, Tier: row.Tier, Index: i, Row: *row})
		this := *row
		r.workers.Go(func() { r.attempt(ctx, i, this, limit) })
		job = job || row.Job
	}
	return job
}

// attempt makes one start and reports how it goes.
func (r *Run) attempt(ctx context.Context, index int, row recover.Row, limit time.Duration) {
	end := make(chan attempt, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		outcome, err := r.starter.Start(ctx, row)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not up within %s", limit)
		}
		end <- attempt{row: index, ended: true, outcome: outcome, err: err}
	}()
	place := time.NewTimer(r.policy.TierDeadline)
	defer place.Stop()
	select {
	case a := <-end:
		a.freesPlace = true
		send(ctx, r.attempts, a)
	case <-place.C:
		send(ctx, r.attempts, attempt{row: index, freesPlace: true})
		send(ctx, r.attempts, <-end)
	}
}

// send tells the goroutine that owns the run, or gives up with ctx.
func send[T any](ctx context.Context, to chan<- T, message T) {
	select {
	case to <- message:
	case <-ctx.Done():
	}
}

// take records what an attempt reports.
func (r *Run) take(ctx context.Context, a attempt) {
	if a.freesPlace {
		r.busy--
	}
	if !a.ended || !r.rows[a.row].State.Pending() { // given up meanwhile
		return
	}
	row := &r.rows[a.row]
	if a.outcome.Unit != "" {
		row.Unit, row.Generated = a.outcome.Unit, a.outcome.Generated
	}
	row.Unasked, row.Absent = errors.Is(a.err, recover.ErrUnasked), errors.Is(a.err, recover.ErrNoContainer)
	state, kind, why := judgeAttempt(row.Job, a.outcome, a.err)
	if a.outcome.Stopped != nil {
		row.Stopped = a.outcome.Stopped
	}
	row.EndAttempt(a.outcome.Result, why)
	row.ChangeAttempt(len(row.Attempts)-1, func(last *recover.Attempt) {
		last.Invocation, last.Offline = a.outcome.Invocation, a.outcome.Offline
		last.EndedWell = state == recover.RowFailed && a.err == nil && endedAtOnce(a.outcome)
		switch state {
		case recover.RowFell: // a job
			last.Fell = &recover.Fall{At: last.Ended, ExitCode: a.outcome.ExitStatus, Result: a.outcome.Result}
		case recover.RowDone:
			last.Done = last.Ended
		}
	})
	r.retries.noteLack(r, a.row, a.outcome)
	var notMounted *NotMounted
	var notOnline *NotOnline
	var over *RetryOver
	switch {
	case errors.As(a.err, &over):
		r.retries.withdraw(row) // it was not even tried
		r.retries.end(r, a.row, over)
	case errors.Is(a.err, recover.ErrReturning), errors.Is(a.err, recover.ErrConflict):
		r.retries.withdraw(row)
		r.retries.postpone(r, a.row, why)
	case errors.Is(a.err, recover.ErrRuns):
		r.retries.withdraw(row)
		r.set(a.row, state, kind, why)
	case errors.As(a.err, &notMounted):
		r.retries.withdraw(row)
		r.tries[a.row]--
		r.awaitMounts(ctx, a.row, notMounted.Points, why)
	case errors.As(a.err, &notOnline):
		r.retries.withdraw(row)
		r.tries[a.row]--
		r.offline.await(ctx, r, a.row, why)
	case state == recover.RowNeedsStopped && row.Retry != nil: // the user has stopped it again
		r.retries.withdraw(row)
		r.set(a.row, state, kind, why)
	case state == recover.RowDamaged:
		row.Attempts = row.Attempts[:len(row.Attempts)-1]
		r.tries[a.row]--
		r.set(a.row, state, kind, why)
	case state == recover.RowFailed && r.awaitNeeded(ctx, a.row, a.outcome, why):
	case state == recover.RowFailed && r.needsStopped(a.row, a.outcome):
	case state == recover.RowFailed && a.outcome.Offline && !row.Job:
		r.tries[a.row]-- // it may have failed for want of the network
		r.explain(ctx, a.row)
		r.offline.await(ctx, r, a.row, withoutNetwork+why)
	case state == recover.RowFailed && r.tries[a.row] == 1 && !row.Job:
		r.retry(ctx, a.row, why)
		r.explain(ctx, a.row)
	default:
		if state == recover.RowUp {
			r.health.begin(ctx, r, a.row)
		}
		r.set(a.row, state, kind, why)
		switch state {
		case recover.RowUp:
			r.follow(ctx, a.row, recover.LifeRuns)
		case recover.RowRestarting:
			r.follow(ctx, a.row, recover.LifeRestarting)
			r.explain(ctx, a.row)
		case recover.RowFailed, recover.RowFell:
			r.explain(ctx, a.row)
		}
	}
}

// judgeAttempt says what a start job's end means for the container. A job counts as
// up while its main process runs.
func judgeAttempt(job bool, o recover.Outcome, err error) (recover.RowState, EventKind, string) {
	switch {
	case errors.Is(err, recover.ErrRuns):
		return recover.RowActive, FoundUp, ""
	case errors.Is(err, recover.ErrOrderedAfterUs):
		return recover.RowDeferred, Deferred, err.Error()
	case errors.As(err, new(*recover.Damaged)):
		return recover.RowDamaged, GaveUp, err.Error()
	case errors.As(err, new(*recover.NeedsStopped)):
		return recover.RowNeedsStopped, Skipped, err.Error()
	case errors.Is(err, recover.ErrUserStopped):
		return recover.RowUserStopped, Skipped, err.Error()
	case err == nil && o.Job == "canceled" && (o.Active == "inactive" || o.Active == "deactivating"):
		return recover.RowUserStopped, Skipped, "someone stopped it while it was being started"
	case errors.Is(err, recover.ErrMasked), errors.Is(err, recover.ErrNotHere):
		return recover.RowSkipped, Skipped, err.Error()
	case err != nil:
		return recover.RowFailed, GaveUp, err.Error()
	case o.Active == "active" || o.Active == "reloading":
		return recover.RowUp, Up, ""
	case job && o.Active == "activating" && o.Sub == "start":
		return recover.RowUp, Up, ""
	case o.Active == "activating" && strings.HasPrefix(o.Sub, "auto-restart"):
		return recover.RowRestarting, Restarting, failureText(o) + "; systemd starts it again"
	case o.Job == "done" && o.ConditionFailed:
		return recover.RowSkipped, Skipped, "a condition of the unit is not met"
	case job && o.Active == "inactive" && o.Job == "done" && (o.Result == "" || o.Result == "success"):
		return recover.RowDone, Ended, ""
	case job && o.Active == "failed":
		return recover.RowFell, Fell, failureText(o)
	case endedAtOnce(o):
		return recover.RowFailed, GaveUp, "it started and ended at once"
	case o.Job == "dependency" && len(o.Blockers) > 0:
		return recover.RowFailed, GaveUp, "it needs " + strings.Join(o.Blockers, " ") + ", which did not start"
	}
	return recover.RowFailed, GaveUp, failureText(o)
}

// endedAtOnce reports whether a unit had ended well before it was seen to run.
func endedAtOnce(o recover.Outcome) bool { return o.Job == "done" && o.Active == "inactive" }

// failureText says how a start failed.
func failureText(o recover.Outcome) string {
	switch o.Result {
	case "", "success":
		return fmt.Sprintf("start job: %s; unit %s", o.Job, o.Active)
	case "exit-code", "signal":
		return fmt.Sprintf("start job: %s; unit %s (%s %d)", o.Job, o.Active, o.Result, o.ExitStatus)
	}
	return fmt.Sprintf("start job: %s; unit %s (%s)", o.Job, o.Active, o.Result)
}

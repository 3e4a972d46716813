package recover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Run carries out a plan: a batch a tier, at most MaxParallel starts side by
// side. The next tier starts when each member of the last one is up, or has
// failed its first attempt, or when the tier's deadline has passed; retries
// and stragglers go on beside later tiers. One goroutine (Do) owns all state;
// attempts only report back to it.
type Run struct {
	policy Policy
	start  StartFunc
	notify func(Event)

	rows      []Row
	queue     []int // rows that wait for a place, in order
	busy      int   // places taken
	pending   int   // rows whose state can still change
	unsettled map[int]bool
	attempts  chan attempt
	retries   chan int
	workers   sync.WaitGroup
}

// StartFunc starts a row's container, by Systemd.Start or with its errors.
type StartFunc func(ctx context.Context, row Row) (Outcome, error)

// An attempt is what a start reports back. One that lasts longer than a tier
// may reports twice: first that it gives its place to others, since hung
// containers must not use up all places, then its end.
type attempt struct {
	row        int
	freesPlace bool
	ended      bool
	took       time.Duration
	outcome    Outcome
	err        error
}

// NewRun prepares a run over rows in start order (Plan.Rows). notify is told
// each event, in order, from the goroutine that calls Do.
func NewRun(rows []Row, p Policy, start StartFunc, notify func(Event)) *Run {
	r := &Run{
		policy:   p,
		start:    start,
		notify:   notify,
		rows:     slices.Clone(rows),
		attempts: make(chan attempt),
		retries:  make(chan int),
	}
	for _, row := range r.rows {
		if row.State.Pending() {
			r.pending++
		}
	}
	return r
}

// Do runs to the end: nothing pending, or the policy's deadline, at which what
// is still pending counts as failed. It returns the cause when it is cut short
// by ctx or, with ErrGoingDown, by the host's shutdown; rows then stay
// pending, for the next run to take up.
func (r *Run) Do(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer r.workers.Wait()
	defer stop()
	deadline := time.NewTimer(r.policy.Deadline)
	defer deadline.Stop()
	tierDeadline := time.NewTimer(r.policy.TierDeadline)
	defer tierDeadline.Stop()

	tier, more := r.nextTier(-1)
	for r.pending > 0 {
		r.fill(ctx)
		var advance EventKind
		select {
		case a := <-r.attempts:
			if errors.Is(a.err, ErrGoingDown) {
				return ErrGoingDown
			}
			r.step(ctx, a)
			if len(r.unsettled) == 0 {
				advance = TierSettled
			}
		case row := <-r.retries:
			r.queue = append(r.queue, row)
		case <-tierDeadline.C:
			advance = TierLate
		case <-deadline.C:
			r.giveUp()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if more && advance != "" {
			r.notify(Event{Kind: advance, Tier: tier})
			tierDeadline.Reset(r.policy.TierDeadline)
			tier, more = r.nextTier(tier)
		}
	}
	return nil
}

// nextTier queues the lowest tier above last that has something to start.
func (r *Run) nextTier(last int) (tier int, more bool) {
	tier = MaxTier + 1
	for _, row := range r.rows {
		if row.State == RowQueued && row.Tier > last {
			tier = min(tier, row.Tier)
		}
	}
	if tier > MaxTier {
		return last, false
	}
	r.unsettled = map[int]bool{}
	for i, row := range r.rows {
		if row.State == RowQueued && row.Tier == tier {
			r.queue = append(r.queue, i)
			r.unsettled[i] = true
		}
	}
	r.notify(Event{Kind: TierStarted, Tier: tier})
	return tier, true
}

// fill starts what waits, as far as there are places.
func (r *Run) fill(ctx context.Context) {
	for len(r.queue) > 0 && r.busy < r.policy.MaxParallel {
		i := r.queue[0]
		r.queue = r.queue[1:]
		r.busy++
		row := &r.rows[i]
		row.State, row.Error, row.Ended = RowStarting, "", time.Time{}
		row.Attempts++
		limit := r.policy.SecondAttempt
		if row.Attempts == 1 {
			row.Started = time.Now()
			limit = r.policy.FirstAttempt
		}
		r.notify(Event{Kind: Starting, Tier: row.Tier, Index: i, Row: *row})
		this := *row
		r.workers.Go(func() { r.attempt(ctx, i, this, limit) })
	}
}

// attempt makes one start and reports how it goes.
func (r *Run) attempt(ctx context.Context, index int, row Row, limit time.Duration) {
	began := time.Now()
	end := make(chan attempt, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		outcome, err := r.start(ctx, row)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not up within %s", limit)
		}
		end <- attempt{row: index, ended: true, took: time.Since(began), outcome: outcome, err: err}
	}()
	place := time.NewTimer(r.policy.TierDeadline)
	defer place.Stop()
	select {
	case a := <-end:
		a.freesPlace = true
		r.tell(ctx, a)
	case <-place.C:
		r.tell(ctx, attempt{row: index, freesPlace: true})
		r.tell(ctx, <-end)
	}
}

func (r *Run) tell(ctx context.Context, a attempt) {
	select {
	case r.attempts <- a:
	case <-ctx.Done():
	}
}

// step takes what an attempt reports into the books.
func (r *Run) step(ctx context.Context, a attempt) {
	if a.freesPlace {
		r.busy--
	}
	if !a.ended {
		return
	}
	delete(r.unsettled, a.row)
	row := &r.rows[a.row]
	row.Ended = time.Now()
	if a.outcome.Unit != "" {
		row.Unit, row.Generated = a.outcome.Unit, a.outcome.Generated
	}
	var kind EventKind
	row.State, kind, row.Error = judgeAttempt(a.outcome, a.err)
	if row.State == RowFailed && row.Attempts == 1 {
		row.State, kind = RowRetrying, AttemptFailed
		r.workers.Go(func() { r.retryLater(ctx, a.row) })
	}
	if !row.State.Pending() {
		r.pending--
	}
	r.notify(Event{Kind: kind, Tier: row.Tier, Index: a.row, Row: *row, Took: a.took})
}

func (r *Run) retryLater(ctx context.Context, row int) {
	pause := time.NewTimer(r.policy.RetryPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return
	}
	select {
	case r.retries <- row:
	case <-ctx.Done():
	}
}

// giveUp closes what is pending at the deadline. Its start jobs go on without
// us: a container that is slow to become ready is not killed for it.
func (r *Run) giveUp() {
	for i := range r.rows {
		row := &r.rows[i]
		if !row.State.Pending() {
			continue
		}
		why := fmt.Sprintf("not up when recovery ended at its deadline of %s", r.policy.Deadline)
		row.State, row.Error, row.Ended = RowFailed, why, time.Now()
		r.notify(Event{Kind: GaveUp, Tier: row.Tier, Index: i, Row: *row})
	}
	r.pending = 0
}

// judgeAttempt says what a start job's end means for the container.
func judgeAttempt(o Outcome, err error) (RowState, EventKind, string) {
	switch {
	case errors.Is(err, ErrOrderedAfterUs):
		return RowDeferred, Deferred, err.Error()
	case errors.Is(err, ErrUserStopped):
		return RowUserStopped, Skipped, err.Error()
	case err == nil && o.Job == "canceled" && (o.Active == "inactive" || o.Active == "deactivating"):
		return RowUserStopped, Skipped, "someone stopped it while it was being started"
	case errors.Is(err, ErrMasked):
		return RowSkipped, Skipped, err.Error()
	case err != nil:
		return RowFailed, GaveUp, err.Error()
	case o.Active == "active" || o.Active == "reloading":
		return RowUp, Up, ""
	case o.Job == "done" && o.ConditionFailed:
		return RowSkipped, Skipped, "a condition of the unit is not met"
	case o.Job == "done" && o.Active == "inactive":
		return RowFailed, GaveUp, "it started and ended at once"
	}
	switch o.Result {
	case "", "success":
		return RowFailed, GaveUp, fmt.Sprintf("start job: %s; unit %s", o.Job, o.Active)
	case "exit-code", "signal":
		return RowFailed, GaveUp, fmt.Sprintf("start job: %s; unit %s (%s %d)", o.Job, o.Active, o.Result, o.ExitStatus)
	}
	return RowFailed, GaveUp, fmt.Sprintf("start job: %s; unit %s (%s)", o.Job, o.Active, o.Result)
}

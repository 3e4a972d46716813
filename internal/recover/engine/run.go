package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// A Run carries out a plan. First it starts the tiers, as many containers side
// by side as the host bears. The next tier begins when each row of the last one is
// up or has failed its first attempt, or when the tier's deadline has passed.
// Retries, and starts that take longer, go on beside later tiers. Then it starts,
// one at a time, the rows that are to start alone. A row that waits for a mount,
// or for a row that does, delays no tier. One goroutine (Do) owns all state;
// attempts only report back to it.
type Run struct {
	policy  recover.Policy
	starter Starter
	flight  *Flight
	notify  func(Event)

	rows      []recover.Row
	tries     []int // attempts that count, a row: not those that waited for something
	queue     []int // rows that wait for a place, in order
	busy      int   // places taken
	pace      *pace // how many there are
	unsettled map[int]bool
	left      int           // rows that are pending
	moving    int           // rows of the tiers that are pending and do not wait
	tiered    bool          // the tiers have ended: a row whose wait ends is given its turn
	needs     map[int][]int // a waiting row -> the rows that it waits for
	attempts  chan attempt
	wakes     chan int // rows that need not wait any longer
	deadline  *time.Timer
	ends      time.Time
	expired   bool // the deadline has passed
	workers   sync.WaitGroup
}

// A Starter starts containers.
type Starter interface {
	// Start starts a row's container: with Systemd.Start's outcome and errors,
	// or a *NotMounted.
	Start(ctx context.Context, row recover.Row) (recover.Outcome, error)
	// AwaitMounts returns when all of the mount points are mounted.
	AwaitMounts(ctx context.Context, points []string) error
}

// New prepares a run over the rows of a plan. notify is told each event, in
// order, from the goroutine that calls Do.
func New(
	rows []recover.Row, p recover.Policy, starter Starter, flight *Flight, gauge recover.Gauge, notify func(Event),
) *Run {
	r := &Run{
		pace:     newPace(p, gauge),
		policy:   p,
		starter:  starter,
		flight:   flight,
		notify:   notify,
		rows:     slices.Clone(rows),
		tries:    make([]int, len(rows)),
		needs:    map[int][]int{},
		attempts: make(chan attempt),
		wakes:    make(chan int),
	}
	for _, row := range rows {
		if row.State.Pending() {
			r.left++
		}
		if moves(row) {
			r.moving++
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
	r.deadline, r.ends = time.NewTimer(r.policy.Deadline), time.Now().Add(r.policy.Deadline)
	defer r.deadline.Stop()
	if err := r.tiers(ctx); err != nil {
		return err
	}
	return r.turns(ctx)
}

// tiers starts all rows that need not be alone. It leaves behind those that wait.
func (r *Run) tiers(ctx context.Context) error {
	late := time.After(r.policy.TierDeadline)
	tier, more := r.nextTier(-1)
	for more || r.moving > 0 {
		if !more {
			late = nil // there is no later tier to delay
		}
		passed, err := r.step(ctx, late, nil)
		if err != nil {
			return err
		}
		if !more || !passed && len(r.unsettled) > 0 {
			continue
		}
		kind := TierSettled
		if passed {
			kind = TierLate
		}
		r.notify(Event{Kind: kind, Tier: tier})
		late = time.After(r.policy.TierDeadline)
		tier, more = r.nextTier(tier)
	}
	r.tiered = true
	return nil
}

// turns starts the rows that are to start alone, one at a time, and in between
// the rows of the tiers whose wait has ended.
func (r *Run) turns(ctx context.Context) error {
	others := true // containers that need not be alone may be in flight
	for r.left > 0 {
		i := r.nextTurn()
		var err error
		switch {
		case i < 0:
			_, err = r.step(ctx, nil, nil)
		case !r.rows[i].Alone:
			r.enqueue(i)
			others = true
		default:
			err = r.turn(ctx, i, others)
			others = false
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextTurn is the first row that could be started and is not in the queue, -1
// without one.
func (r *Run) nextTurn() int {
	for i, row := range r.rows {
		if row.State == recover.RowQueued && !slices.Contains(r.queue, i) {
			return i
		}
	}
	return -1
}

// turn starts a row alone, so that the next crash names one container only. For a
// container with one strike the time between two starts is its Probation, and one
// that hangs gives way to the next: a crash then names a few, which gives each of
// them its second strike. A container with two strikes is alone for its whole soak.
func (r *Run) turn(ctx context.Context, i int, others bool) error {
	row := &r.rows[i]
	careful := row.Strikes >= recover.QuarantineAt
	never := func() bool { return false }
	if others || careful {
		if err := r.stepUntil(ctx, nil, r.flight.Empty(), never); err != nil || r.expired {
			return err
		}
	}
	if careful {
		r.flight.Add(row.Name)
		r.enqueue(i)
		return r.stepUntil(ctx, nil, r.flight.Empty(), never)
	}
	// Each of them is to have its turn before recovery ends.
	turns := 0
	for _, other := range r.rows {
		if other.Alone && other.State == recover.RowQueued {
			turns++
		}
	}
	limit := min(r.policy.TierDeadline+r.policy.Probation, time.Until(r.ends)/time.Duration(turns))
	began := time.Now()
	r.enqueue(i)
	ended := func() bool { return !row.State.Pending() || row.State == recover.RowWaiting }
	if err := r.stepUntil(ctx, time.After(limit), nil, ended); err != nil {
		return err
	}
	if row.State == recover.RowWaiting {
		return nil // it was not started
	}
	return r.stepUntil(ctx, time.After(min(r.policy.Probation, limit-time.Since(began))), nil, never)
}

// stepUntil steps until late or empty, or until it is done.
func (r *Run) stepUntil(ctx context.Context, late <-chan time.Time, empty <-chan struct{}, done func() bool) error {
	for !r.expired && !done() {
		if ended, err := r.step(ctx, late, empty); ended || err != nil {
			return err
		}
	}
	return nil
}

// step starts what can be started and takes in the next thing that happens. It
// reports whether that was late or empty.
func (r *Run) step(ctx context.Context, late <-chan time.Time, empty <-chan struct{}) (passed bool, err error) {
	r.fill(ctx)
	var more <-chan time.Time
	if len(r.queue) > 0 && !r.pace.full() {
		timer := time.NewTimer(paceEvery)
		defer timer.Stop()
		more = timer.C
	}
	select {
	case a := <-r.attempts:
		if errors.Is(a.err, recover.ErrGoingDown) {
			return false, recover.ErrGoingDown
		}
		r.take(ctx, a)
	case i := <-r.wakes:
		if r.rows[i].State.Pending() { // not given up meanwhile
			r.requeue(i)
		}
	case <-more:
		r.pace.grow()
	case <-late:
		return true, nil
	case <-empty:
		return true, nil
	case <-r.deadline.C:
		r.giveUp()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return false, nil
}

// nextTier queues the lowest tier above last that has something to start.
func (r *Run) nextTier(last int) (tier int, more bool) {
	tier = recover.MaxTier + 1
	begins := func(row recover.Row) bool { return row.State == recover.RowQueued && !row.Alone }
	for _, row := range r.rows {
		if begins(row) && row.Tier > last {
			tier = min(tier, row.Tier)
		}
	}
	if tier > recover.MaxTier {
		return last, false
	}
	r.unsettled = map[int]bool{}
	var names []string
	for i, row := range r.rows {
		if begins(row) && row.Tier == tier {
			r.enqueue(i)
			r.unsettled[i] = true
			names = append(names, row.Name)
		}
	}
	r.notify(Event{Kind: TierStarted, Tier: tier})
	r.flight.Add(names...)
	return tier, true
}

// enqueue gives a row its turn, for the first time or again.
func (r *Run) enqueue(i int) {
	if r.rows[i].Queued.IsZero() {
		r.rows[i].Queued = time.Now()
	}
	r.queue = append(r.queue, i)
}

// moves reports whether the tiers go on for this row: it is pending, and does
// not wait.
func moves(row recover.Row) bool {
	return !row.Alone && row.State.Pending() && row.State != recover.RowWaiting
}

// observeMove is told each change of a row's state; tests look in.
var observeMove = func(from, to recover.RowState) {}

// move changes a row's state, and counts it.
func (r *Run) move(i int, to recover.RowState) {
	row := &r.rows[i]
	before := moves(*row)
	observeMove(row.State, to)
	row.Move(to)
	switch now := moves(*row); {
	case before && !now:
		r.moving--
	case now && !before:
		r.moving++
	}
}

// set moves a row to a state and reports that. When a row ends its soak begins,
// and the rows that wait for it go on or fail.
func (r *Run) set(i int, state recover.RowState, kind EventKind, why string) {
	row := &r.rows[i]
	r.move(i, state)
	row.Error = why
	if state != recover.RowWaiting || r.needs[i] != nil { // a row that waits for a mount has not settled
		delete(r.unsettled, i)
	}
	r.notify(Event{Kind: kind, Tier: row.Tier, Index: i, Row: *row})
	if state == recover.RowWaiting || state == recover.RowDeferred {
		r.flight.Cancel(row.Name) // it was not started
	}
	if state.Pending() {
		return
	}
	r.left--
	r.flight.Soak(row.Name, r.policy.Soak)
	for waiting, on := range r.needs {
		if !slices.Contains(on, i) {
			continue
		}
		if state != recover.RowUp {
			delete(r.needs, waiting)
			r.set(waiting, recover.RowFailed, GaveUp, fmt.Sprintf("needs %s, which is %s", row.Name, state))
			continue
		}
		r.needs[waiting] = slices.DeleteFunc(slices.Clone(on), func(n int) bool { return n == i })
		if len(r.needs[waiting]) == 0 {
			delete(r.needs, waiting)
			r.requeue(waiting)
		}
	}
}

// giveUp closes what is pending at the deadline. Its start jobs go on without
// us: a container that is slow to become ready is not killed for it.
func (r *Run) giveUp() {
	r.expired = true
	clear(r.needs)
	r.queue = nil
	for i, row := range r.rows {
		if !row.State.Pending() {
			continue
		}
		why := fmt.Sprintf("not up when recovery ended at its deadline of %s", r.policy.Deadline)
		if row.Error != "" {
			why += ": " + row.Error
		}
		r.rows[i].EndAttempt("", why)
		r.set(i, recover.RowFailed, GaveUp, why)
	}
}

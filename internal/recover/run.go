package recover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Run carries out a plan. First the tiers: as many starts side by side as the
// host bears, and the next tier begins when each member of the last one is up, or has
// failed its first attempt, or when the tier's deadline has passed; retries
// and stragglers go on beside later tiers. Then, one at a time, those that
// are to start alone. Who waits for a mount, or for another that does, holds up
// nobody. One goroutine (Do) owns all state; attempts only report back to it.
type Run struct {
	policy  Policy
	starter Starter
	flight  *Flight
	notify  func(Event)

	rows      []Row
	tries     []int // attempts that count, a row: not those that waited for something
	queue     []int // rows that wait for a place, in order
	busy      int   // places taken
	pace      *pace // how many there are
	unsettled map[int]bool
	left      int           // rows that are pending
	moving    int           // those of the tiers that are pending and do not wait
	tiered    bool          // the tiers are over: who need no longer wait is given its turn
	needs     map[int][]int // a waiting row -> the rows that it waits for
	attempts  chan attempt
	wakes     chan int // rows that need not wait any longer
	deadline  *time.Timer
	ends      time.Time
	over      bool // the deadline has passed
	workers   sync.WaitGroup
}

// A Starter starts containers.
type Starter interface {
	// Start starts a row's container: with Systemd.Start's outcome and errors,
	// or a *NotMounted.
	Start(ctx context.Context, row Row) (Outcome, error)
	// AwaitMounts returns when all of the mount points are mounted.
	AwaitMounts(ctx context.Context, points []string) error
}

// NewRun prepares a run over the rows of a plan. notify is told each event, in
// order, from the goroutine that calls Do.
func NewRun(rows []Row, p Policy, starter Starter, flight *Flight, gauge Gauge, notify func(Event)) *Run {
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
		if row.moves() {
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

// tiers starts all that need not be alone. It leaves behind who waits.
func (r *Run) tiers(ctx context.Context) error {
	late := time.After(r.policy.TierDeadline)
	tier, more := r.nextTier(-1)
	for more || r.moving > 0 {
		if !more {
			late = nil // there is no later tier to hold up
		}
		over, err := r.step(ctx, late, nil)
		if err != nil {
			return err
		}
		if !more || !over && len(r.unsettled) > 0 {
			continue
		}
		kind := TierSettled
		if over {
			kind = TierLate
		}
		r.notify(Event{Kind: kind, Tier: tier})
		late = time.After(r.policy.TierDeadline)
		tier, more = r.nextTier(tier)
	}
	r.tiered = true
	return nil
}

// turns starts the others one at a time, and in between those of the tiers that
// need wait no longer.
func (r *Run) turns(ctx context.Context) error {
	beside := true // what need not be alone may be in flight
	for r.left > 0 {
		i := r.nextTurn()
		var err error
		switch {
		case i < 0:
			_, err = r.step(ctx, nil, nil)
		case !r.rows[i].Alone:
			r.enqueue(i)
			beside = true
		default:
			err = r.turn(ctx, i, beside)
			beside = false
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
		if row.State == RowQueued && !slices.Contains(r.queue, i) {
			return i
		}
	}
	return -1
}

// turn starts a row alone. Whoever is started while nothing else is in flight is
// named by the next crash. For containers with one strike Probation has to do
// for the time between two starts, and one that hangs gives way: then a crash
// names a few, which are two strikes for them, and with two strikes a container
// is alone until it has lived its whole soak.
func (r *Run) turn(ctx context.Context, i int, beside bool) error {
	row := &r.rows[i]
	careful := row.Strikes >= quarantineAt
	never := func() bool { return false }
	if beside || careful {
		if err := r.stepUntil(ctx, nil, r.flight.Empty(), never); err != nil || r.over {
			return err
		}
	}
	if careful {
		r.flight.Board(row.Name)
		r.enqueue(i)
		return r.stepUntil(ctx, nil, r.flight.Empty(), never)
	}
	// So that everybody has a turn before recovery ends.
	turns := 0
	for _, other := range r.rows {
		if other.Alone && other.State == RowQueued {
			turns++
		}
	}
	limit := min(r.policy.TierDeadline+r.policy.Probation, time.Until(r.ends)/time.Duration(turns))
	began := time.Now()
	r.enqueue(i)
	if err := r.stepUntil(ctx, time.After(limit), nil, func() bool { return !row.State.Pending() || row.State == RowWaiting }); err != nil {
		return err
	}
	if row.State == RowWaiting {
		return nil // it was not started
	}
	return r.stepUntil(ctx, time.After(min(r.policy.Probation, limit-time.Since(began))), nil, never)
}

// stepUntil steps until late or empty, or until it is done.
func (r *Run) stepUntil(ctx context.Context, late <-chan time.Time, empty <-chan struct{}, done func() bool) error {
	for !r.over && !done() {
		if ended, err := r.step(ctx, late, empty); ended || err != nil {
			return err
		}
	}
	return nil
}

// step starts what can be started and takes in the next thing that happens. It
// reports whether that was late or empty.
func (r *Run) step(ctx context.Context, late <-chan time.Time, empty <-chan struct{}) (over bool, err error) {
	r.fill(ctx)
	var more <-chan time.Time
	if len(r.queue) > 0 && !r.pace.full() {
		timer := time.NewTimer(paceEvery)
		defer timer.Stop()
		more = timer.C
	}
	select {
	case a := <-r.attempts:
		if errors.Is(a.err, ErrGoingDown) {
			return false, ErrGoingDown
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
	tier = MaxTier + 1
	begins := func(row Row) bool { return row.State == RowQueued && !row.Alone }
	for _, row := range r.rows {
		if begins(row) && row.Tier > last {
			tier = min(tier, row.Tier)
		}
	}
	if tier > MaxTier {
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
	r.flight.Board(names...)
	return tier, true
}

// enqueue gives a row its turn, for the first time or again.
func (r *Run) enqueue(i int) {
	if r.rows[i].Queued.IsZero() {
		r.rows[i].Queued = time.Now()
	}
	r.queue = append(r.queue, i)
}

// moves: a tier is not over before this row has ended, or waits.
func (row Row) moves() bool {
	return !row.Alone && row.State.Pending() && row.State != RowWaiting
}

// move changes a row's state, and counts it.
func (r *Run) move(i int, to RowState) {
	before := r.rows[i].moves()
	r.rows[i].move(to)
	switch now := r.rows[i].moves(); {
	case before && !now:
		r.moving--
	case now && !before:
		r.moving++
	}
}

// set moves a row to a state and says so. A row that ends lands, and settles
// those that wait for it.
func (r *Run) set(i int, state RowState, kind EventKind, why string) {
	row := &r.rows[i]
	r.move(i, state)
	row.Error = why
	if state != RowWaiting || r.needs[i] != nil { // who waits for a mount has not settled
		delete(r.unsettled, i)
	}
	r.notify(Event{Kind: kind, Tier: row.Tier, Index: i, Row: *row})
	if state == RowWaiting || state == RowDeferred {
		r.flight.Leave(row.Name) // it was not started
	}
	if state.Pending() {
		return
	}
	r.left--
	r.flight.Land(row.Name, r.policy.Soak)
	for waiting, on := range r.needs {
		if !slices.Contains(on, i) {
			continue
		}
		if state != RowUp {
			delete(r.needs, waiting)
			r.set(waiting, RowFailed, GaveUp, fmt.Sprintf("needs %s, which is %s", row.Name, state))
			continue
		}
		if r.needs[waiting] = slices.DeleteFunc(slices.Clone(on), func(n int) bool { return n == i }); len(r.needs[waiting]) == 0 {
			delete(r.needs, waiting)
			r.requeue(waiting)
		}
	}
}

// giveUp closes what is pending at the deadline. Its start jobs go on without
// us: a container that is slow to become ready is not killed for it.
func (r *Run) giveUp() {
	r.over = true
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
		r.rows[i].endAttempt("", why)
		r.set(i, RowFailed, GaveUp, why)
	}
}

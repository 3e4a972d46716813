package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// A Run carries out a plan. First it starts the tiers, as many containers side
// by side as the host bears. The next tier begins when each row of the last one is
// up, and healthy where others wait for that, or has failed its first attempt. It
// begins when the tier's deadline has passed, too. Retries, and starts that take
// longer, go on beside later tiers. Then it starts, in groups, the rows that are to
// start alone. A row that waits for another one delays no tier; nor does a job. Then Do
// returns, and Follow goes on to see whether the containers last. The goroutine that
// calls them owns all state; attempts and followers only report back to it.
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
	left      int  // rows that READY waits for
	moving    int  // rows of the tiers that READY waits for and that do not wait
	tiered    bool // the tiers have ended: a row whose wait ends is given its turn
	needs     neededRows
	attempts  chan attempt
	wakes     chan wake
	waits     map[int]int // how often each row has begun to wait
	offline   offlineRows
	late      lateRows
	again     time.Time // when a row of the queue may start that could not, zero without one
	health    healthWaits
	order     order
	retries   retries
	asks      chan func()
	over      chan struct{} // closed when nothing is taken up any more
	deadline  *time.Timer
	ends      time.Time
	expired   bool // the deadline has passed
	ready     bool // Do has ended
	workers   sync.WaitGroup
	stop      context.CancelFunc // ends the workers that Do has begun

	changes      chan change
	following    int             // containers that are followed
	recovering   context.Context // ends with Do
	explanations chan explained
	explaining   int               // explanations that are under way
	questions    map[attemptID]int // how often an explanation was asked for
}

// A Starter starts containers.
type Starter interface {
	// Start starts a row's container: with Systemd.Start's outcome and errors,
	// a *NotMounted or a *NotOnline.
	Start(ctx context.Context, row recover.Row) (recover.Outcome, error)
	// AwaitMounts returns when all of the mount points are mounted.
	AwaitMounts(ctx context.Context, points []string) error
	// AwaitNetwork returns when the host's network is there, or may be.
	AwaitNetwork(ctx context.Context) error
	// Await returns what has become of a row's container when that differs from last:
	// at once if it does already. A stop that belongs to the shutdown of the host, or
	// of the manager, is LifeUnknown. The error says that it cannot be asked. The row is that
	// of the start, and does not change: a pointer keeps the stacks of many waits small.
	Await(ctx context.Context, row *recover.Row, last recover.Life) (recover.Life, error)
	// AwaitHealthy waits for the health check of a row's container. It tells HealthAwaited
	// when that does not pass at first, and HealthPassed when it does. It returns without
	// that if there is nothing to wait for.
	AwaitHealthy(ctx context.Context, row recover.Row, tell func(recover.RowHealth))
	// AwaitLacking returns when what the row's last attempt lacked has arrived: all of the mount
	// points, without any its image, or else a mount at the source of a bind mount, or above it.
	// The error says that this cannot be awaited.
	AwaitLacking(ctx context.Context, row recover.Row, points []string) error
	// Explain says why the row's last attempt failed, or why its container fell. The
	// zero Explanation says nothing.
	Explain(ctx context.Context, row recover.Row) recover.Explanation
}

// New prepares a run over the rows of a plan. notify is told each event, in
// order, from the goroutine that calls Do and Follow.
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
		needs:    neededRows{},
		attempts: make(chan attempt),
		wakes:    make(chan wake),
		waits:    map[int]int{},
		order:    newOrder(rows),
		offline:  offlineRows{rows: map[int]bool{}},
		late:     newLateRows(),
		health:   healthWaits{rows: map[int]context.CancelFunc{}, news: make(chan healthNews)},
		retries:  newRetries(),
		asks:     make(chan func()),
		over:     make(chan struct{}),

		changes:      make(chan change),
		explanations: make(chan explained),
		questions:    map[attemptID]int{},
	}
	for _, row := range rows {
		if delaysReady(row) {
			r.left++
		}
		if moves(row) {
			r.moving++
		}
	}
	return r
}

// Do runs to READY: nothing pending but jobs, or the policy's deadline, at which what
// is still pending counts as failed. It returns the cause when it is cut short
// by ctx or, with ErrGoingDown, by the host's shutdown; rows then stay
// pending, for the next run to take up. If it returns nil, containers are followed
// until Follow, which is to be called then, returns, or ctx ends.
func (r *Run) Do(ctx context.Context) error {
	ctx, r.stop = context.WithCancel(ctx)
	var recovered context.CancelFunc
	r.recovering, recovered = context.WithCancel(ctx)
	defer recovered()
	r.deadline, r.ends = time.NewTimer(r.policy.Deadline), time.Now().Add(r.policy.Deadline)
	r.offline.late = time.NewTimer(r.policy.NetworkWait)
	err := r.tiers(ctx)
	if err == nil {
		err = r.turns(ctx)
	}
	if err != nil {
		r.close()
		return err
	}
	r.ready, r.offline.over = true, true
	r.retries.begin(r)
	return nil
}

// Follow goes on after Do until all soaks are over, the jobs have ended, the rows that wait for
// the network have been started, and nothing is to be tried again. It returns the cause when
// ctx ends, and ErrGoingDown as Do does.
func (r *Run) Follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer r.close()
	defer stop()
	for r.following > 0 || r.explaining > 0 || len(r.health.rows) > 0 || len(r.retries.due) > 0 ||
		slices.ContainsFunc(r.rows, toCome) {
		var err error
		if i := nextTurn(r.rows, r.queue); i >= 0 { // a suspect, which has waited for the network
			err = newTurn(r, r.rows[i].Group).take(ctx)
		} else {
			_, err = r.step(ctx, nil, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Serve is Follow, and goes on to take up what is asked (Ask) until ctx ends. While nothing is
// to come it only waits for that.
func (r *Run) Serve(ctx context.Context) error {
	defer close(r.over)
	for {
		if err := r.Follow(ctx); err != nil {
			return err
		}
		select {
		case do := <-r.asks:
			do()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// close ends the workers, and waits for their end.
func (r *Run) close() {
	r.deadline.Stop()
	r.offline.late.Stop()
	r.stop()
	r.workers.Wait()
}

// tiers starts all rows that need not be alone. It leaves behind those that wait.
func (r *Run) tiers(ctx context.Context) error {
	late := time.After(r.policy.TierDeadline)
	tier, more := r.nextTier(-1)
	for more || r.moving > 0 {
		if !more {
			late = nil // there is no later tier to delay
		}
		passed := false
		if !more || len(r.unsettled) > 0 { // else it has jobs only
			var err error
			if passed, err = r.step(ctx, late, nil); err != nil {
				return err
			}
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
	var more, again, retry <-chan time.Time
	switch at, turn := r.retries.start(ctx, r); {
	case turn:
		return false, nil
	case r.fill(ctx):
		return false, nil // a job was started: perhaps nothing is left to wait for
	case !at.IsZero():
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		retry = timer.C
	}
	switch {
	case !r.again.IsZero():
		timer := time.NewTimer(time.Until(r.again))
		defer timer.Stop()
		again = timer.C
	case len(r.queue) > 0 && !r.pace.full():
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
	case w := <-r.wakes:
		if toCome(r.rows[w.row]) && w.wait == r.waits[w.row] { // else given up, or it waits for something else
			r.wake(w.row)
		}
	case <-r.offline.late.C:
		r.offline.pass(ctx, r)
	case c := <-r.changes:
		r.hear(ctx, c)
	case n := <-r.health.news:
		r.health.take(r, n)
	case e := <-r.explanations:
		r.takeExplanation(ctx, e)
	case <-more:
		r.pace.grow()
	case i := <-r.retries.arrivals:
		r.retries.hurry(r, i)
	case do := <-r.asks:
		do()
	case <-again:
	case <-retry:
	case <-late:
		return true, nil
	case <-empty:
		return true, nil
	case <-r.deadline.C:
		r.giveUp(ctx)
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return false, nil
}

// nextTier queues the lowest tier above last that has something to start.
func (r *Run) nextTier(last int) (tier int, more bool) {
	tier = recover.MaxTier + 1
	begins := func(row recover.Row) bool { return row.State == recover.RowQueued && !row.Grouped() }
	for _, row := range r.rows {
		if begins(row) && row.Tier > last {
			tier = min(tier, row.Tier)
		}
	}
	if tier > recover.MaxTier {
		return last, false
	}
	r.unsettled = map[int]bool{}
	r.notify(Event{Kind: TierStarted, Tier: tier})
	var names []string
	for i, row := range r.rows {
		if !begins(row) || row.Tier != tier || !r.enqueue(i) {
			continue
		}
		if !row.Job {
			r.unsettled[i] = true
		}
		names = append(names, startsOf(r.rows, i)...)
	}
	r.flight.Add(names...)
	return tier, true
}

// enqueue gives a row its turn, for the first time or again. It reports false for one that
// has to wait for another one first.
func (r *Run) enqueue(i int) bool {
	if r.order.hold(r, i) {
		return false
	}
	if r.rows[i].Queued.IsZero() {
		r.rows[i].Queued = time.Now()
	}
	r.queue = append(r.queue, i)
	return true
}

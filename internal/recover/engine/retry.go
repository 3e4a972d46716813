package engine

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// retries are the rows that are tried again after READY: what failed, and what fell. Each has
// its back-off. It is tried earlier when what it lacked arrives.
type retries struct {
	due map[int]time.Time // rows that are tried again by the clock
	// under has the rows that are being tried, or wait for what they lack.
	under map[int]retry
	lacks map[int]lack
	// watched are the rows for whose lack a worker waits.
	watched map[int]context.CancelFunc
	// forced are the rows that the operator has tried now: a hold does not keep them. prompt are
	// those of which something has told that what they lacked is there.
	forced, prompt map[int]bool
	held           time.Time // until then nothing is tried
	// woken are the rows whose wait has ended meanwhile.
	woken    map[int]bool
	arrivals chan int
	chance   *rand.Rand // lengthens pauses
}

// A retry is a try that is under way.
type retry struct {
	began  time.Time
	before recover.Row // as it was
	along  []string    // names that it may start along
}

// A lack is what a row's last attempt failed for want of.
type lack struct {
	rows   []int
	points []string // mount points
}

// RetryOver is the error of a start that was not made, since somebody has ended the tries.
type RetryOver struct {
	Why string
	// Stopped: the container is not to run any more.
	Stopped bool
}

func (e *RetryOver) Error() string { return e.Why }

func newRetries() retries {
	return retries{due: map[int]time.Time{}, under: map[int]retry{}, lacks: map[int]lack{},
		watched: map[int]context.CancelFunc{}, forced: map[int]bool{}, prompt: map[int]bool{}, woken: map[int]bool{},
		arrivals: make(chan int),
		chance:   rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))} //nolint:gosec // no secret
}

// begin plans the tries of all rows, at READY.
func (t *retries) begin(r *Run) {
	for i := range r.rows {
		if t.plan(r, i); r.rows[i].Retry != nil {
			r.tell(RetryPlanned, i)
		}
	}
}

// plan plans the next try of a row whose state has changed, or ends its tries.
func (t *retries) plan(r *Run, i int) {
	row := &r.rows[i]
	if !r.ready || row.State.Pending() {
		return
	}
	for _, name := range t.under[i].along {
		r.flight.Soak(name, r.policy.Soak)
	}
	delete(t.due, i)
	delete(t.under, i)
	delete(t.woken, i)
	delete(t.forced, i)
	delete(t.prompt, i)
	next := recover.Retry{Tries: triesOf(*row)}
	switch failed := row.State.FailedOrFell(); {
	case !failed && row.Retry == nil, failed && !r.policy.RetryAfterReady && row.Retry == nil:
		return
	case !failed, !r.policy.RetryAfterReady:
	case row.NotRetried() != "":
		next.Ended = row.NotRetried()
	case row.Made() == 0 && r.late.points[i] != nil: // at once, to wait for the mount
		next.Next = time.Now()
	default:
		next.Next = time.Now().Add(recover.RetryPause(next.Tries, t.chance.Float64()))
	}
	if row.Retry = &next; !next.Next.IsZero() {
		t.due[i] = next.Next
	}
}

// start gives the rows their turn that are due, in the order of their tiers. It returns when
// there may be the next one, zero without one. turn: a suspect has its turn.
func (t *retries) start(ctx context.Context, r *Run) (next time.Time, turn bool) {
	if !r.ready {
		return next, false
	}
	now := time.Now()
	later := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	held := now.Before(t.held)
	for _, i := range slices.Sorted(maps.Keys(t.woken)) {
		if held {
			later(t.held)
			continue
		}
		delete(t.woken, i)
		r.requeue(i)
		turn = turn || r.rows[i].Alone
	}
	inOrder := func(i, j int) int { return cmp.Or(cmp.Compare(r.rows[i].Tier, r.rows[j].Tier), cmp.Compare(i, j)) }
	for _, i := range slices.SortedFunc(maps.Keys(t.due), inOrder) {
		at := t.due[i]
		if held && !t.forced[i] && at.Before(t.held) {
			at = t.held
		}
		if until := t.leaves(r, i); until.After(at) {
			at = until
		}
		if at.After(now) {
			later(at)
			continue
		}
		t.try(r, i)
		turn = turn || r.rows[i].Alone
	}
	t.watch(ctx, r)
	return next, turn
}

// leaves is until when a row leaves the start to others that are being tried, or are about to
// be: those of lower tiers, and those that it needs. As in recovery, one that hangs gives way when the tier's
// deadline has passed, and nothing waits for a suspect.
func (t *retries) leaves(r *Run, i int) (until time.Time) {
	first := func(j int) bool {
		needed := slices.ContainsFunc(r.order.needs[i], func(n need) bool { return n.row == j })
		return r.rows[j].Tier < r.rows[i].Tier || needed
	}
	if !t.forced[i] && !t.prompt[i] {
		for j, at := range t.due { // chance alone has put it behind
			tries := r.rows[j].Retry.Tries
			byChance := recover.RetryPause(tries, 1) - recover.RetryPause(tries, 0)
			if first(j) && time.Until(at) <= byChance && at.After(until) && !(r.rows[j].Alone && !r.rows[i].Alone) {
				until = at
			}
		}
	}
	for j, u := range t.under {
		other := r.rows[j]
		settled := other.State == recover.RowWaiting || !other.State.Pending() && !r.health.delay(j)
		if j == i || settled || other.Job || other.Alone && !r.rows[i].Alone {
			continue
		}
		if first(j) {
			if ends := u.began.Add(r.policy.TierDeadline); ends.After(until) {
				until = ends
			}
		}
	}
	return until
}

// try gives a row its turn.
func (t *retries) try(r *Run, i int) {
	row := &r.rows[i]
	u := retry{began: time.Now(), before: *row}
	if row.State == recover.RowNeedsStopped {
		u.along = slices.Clone(row.Stopped)
	}
	for _, other := range r.rows {
		if other.State.FailedOrFell() && slices.Contains(row.Brings, other.Name) {
			u.along = append(u.along, other.Name)
		}
	}
	t.unwatch(i)
	r.waits[i]++ // what it waited for before READY does not matter any more
	delete(t.due, i)
	t.under[i] = u
	row.Retry = &recover.Retry{Tries: row.Retry.Tries + 1, ByHand: t.forced[i], SeenFailed: row.Retry.SeenFailed}
	r.tries[i] = max(r.tries[i], 1) // the second attempt's limit holds, and no other one follows
	r.expired, r.ends = false, time.Now().Add(r.policy.Deadline)
	r.move(i, recover.RowQueued)
	if !row.Alone {
		r.enqueue(i)
	}
}

// withdraw takes back an attempt that was not made.
func (t *retries) withdraw(row *recover.Row) {
	row.Attempts = row.Attempts[:len(row.Attempts)-1]
	if row.Retry != nil {
		uncount(row)
	}
}

// uncount takes a try off a row's count that was not made.
func uncount(row *recover.Row) { row.Retry = &recover.Retry{Tries: max(0, row.Retry.Tries-1)} }

// postpone has a row tried later that could not be tried. What is allowed again the next look
// finds again.
func (t *retries) postpone(r *Run, i int, why string) {
	if before := t.under[i].before; before.State == recover.RowNeedsStopped {
		r.set(i, before.State, RetryPlanned, (&recover.NeedsStopped{Names: before.Stopped}).Error())
		return
	}
	r.set(i, t.stateBefore(i), RetryPlanned, why)
}

// end ends the tries of a row.
func (t *retries) end(r *Run, i int, over *RetryOver) {
	if over.Stopped {
		r.set(i, recover.RowUserStopped, Skipped, over.Why)
		return
	}
	before := t.under[i].before
	r.rows[i].Retry.Ended = over.Why
	r.set(i, t.stateBefore(i), RetryEnded, before.Error)
}

func (t *retries) stateBefore(i int) recover.RowState {
	if t.under[i].before.State == recover.RowFell {
		return recover.RowFell
	}
	return recover.RowFailed
}

// noteLack keeps what an attempt failed for want of.
func (t *retries) noteLack(r *Run, i int, o recover.Outcome) {
	delete(t.lacks, i)
	lacks := lack{points: o.NotMounted}
	for j, other := range r.rows {
		if j != i && slices.Contains(o.Blockers, other.Unit) {
			lacks.rows = append(lacks.rows, j)
		}
	}
	if len(lacks.rows)+len(lacks.points) > 0 {
		t.lacks[i] = lacks
	}
}

// arrived has the rows tried at once that failed for want of a row.
func (t *retries) arrived(r *Run, j int) {
	for i := range t.due {
		lacked := slices.Contains(t.lacks[i].rows, j) ||
			slices.ContainsFunc(r.order.needs[i], func(n need) bool { return n.row == j && r.order.met(r, n) })
		if lacked {
			t.hurry(r, i)
		}
	}
}

// hurry has a row tried at once.
func (t *retries) hurry(r *Run, i int) {
	if at, planned := t.due[i]; planned && at.After(time.Now()) {
		t.prompt[i] = true
		t.due[i] = time.Now()
		next := *r.rows[i].Retry
		next.Next = t.due[i]
		r.rows[i].Retry = &next
	}
}

// watch waits for what rows lack, where something tells of that.
func (t *retries) watch(ctx context.Context, r *Run) {
	for i := range t.due {
		row := r.rows[i]
		if t.watched[i] != nil || len(t.lacks[i].points) == 0 && !arrives(row) {
			continue
		}
		watching, cancel := context.WithCancel(ctx)
		t.watched[i] = cancel
		points := t.lacks[i].points
		r.workers.Go(func() {
			began := time.Now()
			err := r.starter.AwaitLacking(watching, row, points)
			if err == nil && time.Since(began) > lackAtLeast { // else it was there, and did not help
				send(watching, t.arrivals, i)
			}
		})
	}
}

// lackAtLeast is how long something has to have been missing to count as the reason of a failure.
const lackAtLeast = time.Second

// arrives reports whether something tells when what a row's last attempt lacked arrives.
func arrives(row recover.Row) bool {
	last := row.LastAttempt()
	return last != nil && last.Why != nil && last.Why.Arrives
}

func (t *retries) unwatch(i int) {
	if cancel := t.watched[i]; cancel != nil {
		cancel()
		delete(t.watched, i)
	}
}

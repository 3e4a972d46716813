package engine

import (
	"context"
	"math"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// turns starts the rows that are to start alone, a group at a time, and in between
// the rows of the tiers whose wait has ended.
func (r *Run) turns(ctx context.Context) error {
	for r.left > 0 || r.health.delayReady(r) {
		i := nextTurn(r.rows, r.queue)
		var err error
		switch {
		case i < 0:
			_, err = r.step(ctx, nil, nil)
		case !r.rows[i].Grouped():
			r.enqueue(i)
		case r.late.held(r):
			_, err = r.step(ctx, nil, nil)
		default:
			err = newTurn(r, r.rows[i].Group).take(ctx)
		}
		if err != nil {
			return err
		}
	}
	return r.beforeDeferred(ctx)
}

// beforeDeferred waits until the soak of all others is over, if a suspect starts at
// READY: so that the next crash tells them apart.
func (r *Run) beforeDeferred(ctx context.Context) error {
	deferred := func(row recover.Row) bool { return row.Alone && row.State == recover.RowDeferred }
	if r.expired || !slices.ContainsFunc(r.rows, deferred) {
		return nil
	}
	limit := min(r.policy.TierDeadline+r.policy.Soak, time.Until(r.ends))
	return r.stepUntil(ctx, time.After(limit), r.flight.Empty(), never)
}

func never() bool { return false }

// nextTurn is the first row that could be started and is not in the queue, -1
// without one.
func nextTurn(rows []recover.Row, queue []int) int {
	for i, row := range rows {
		if row.State == recover.RowQueued && !slices.Contains(queue, i) {
			return i
		}
	}
	return -1
}

// A turn is a group of rows that start together after all others.
type turn struct {
	run      *Run
	group    int
	rows     []int
	names    []string // that are in flight with it
	suspects []string // those of them whose soak the next group waits for
	groups   int      // that are still to start, with this one
	careful  bool     // it waits for the soak of those that start with the tiers
	late     bool     // recovery has ended: it waits for the soak of all others
}

func newTurn(r *Run, group int) turn {
	t := turn{run: r, group: group, late: r.ready}
	groups := map[int]bool{}
	for i, row := range r.rows {
		if !row.Grouped() || row.State != recover.RowQueued || slices.Contains(r.queue, i) {
			continue
		}
		groups[row.Group] = true
		if row.Group == group {
			t.rows, t.names = append(t.rows, i), append(t.names, startsOf(r.rows, i)...)
			t.careful = t.careful || row.Careful
			if row.Alone {
				t.suspects = append(t.suspects, startsOf(r.rows, i)...)
			}
		}
	}
	t.groups = len(groups)
	return t
}

// limit is the most time that it may take: each is to have its turn before recovery
// ends.
func (t turn) limit() time.Duration {
	return min(t.run.policy.TierDeadline+t.run.policy.Soak, time.Until(t.run.ends)/time.Duration(t.groups))
}

// take starts the rows, tier by tier, and waits until their soak is over: so that a
// crash names this group only. Nothing waits for the last group's soak. A group that
// hangs gives way to the next.
func (t turn) take(ctx context.Context) error {
	r := t.run
	if t.careful || t.late {
		soaked := r.flight.Empty()
		if !t.late {
			soaked = r.flight.Without(tierNames(r.rows)...)
		}
		if err := r.stepUntil(ctx, time.After(t.limit()/2), soaked, never); err != nil || r.expired {
			return err
		}
		if t = newTurn(r, t.group); len(t.rows) == 0 { // a hold has put them off
			return nil
		}
	}
	ends := time.Now().Add(t.limit())
	late := func() <-chan time.Time { return time.After(time.Until(ends)) }
	r.flight.Add(t.names...)
	began := time.Now()
	for tier := range recover.MaxTier + 1 {
		if !t.enqueue(tier) {
			continue
		}
		if err := r.stepUntil(ctx, late(), nil, func() bool { return t.settled(tier) }); err != nil {
			return err
		}
	}
	switch {
	case r.policy.Mode == recover.ModeSafe:
		return r.stepUntil(ctx, time.After(min(r.policy.Probation, time.Until(ends))), nil, never)
	case t.groups == 1:
		return nil
	}
	soak := min(t.soak(time.Since(began)), time.Until(ends))
	return r.stepUntil(ctx, time.After(soak), r.flight.Without(t.suspects...), never)
}

// soak is how long the next group waits for this one, whose start took a while. READY is
// to wait for three soaks and no more, so a little of the last ones is left out.
func (t turn) soak(took time.Duration) time.Duration {
	groups := 0
	for _, row := range t.run.rows {
		groups = max(groups, row.Group)
	}
	if t.careful || groups < recover.FewGroups {
		return math.MaxInt64
	}
	return t.run.policy.Soak - min(2*took, t.run.policy.Soak/40)
}

// enqueue queues its rows in a tier, and reports whether there are any.
func (t turn) enqueue(tier int) (found bool) {
	for _, i := range t.rows {
		row := t.run.rows[i]
		if row.Tier == tier && row.State == recover.RowQueued && !slices.Contains(t.run.queue, i) {
			found = t.run.enqueue(i) || found
		}
	}
	return found
}

// settled reports whether none of its rows in a tier is being started any more, or has
// yet to be healthy.
func (t turn) settled(tier int) bool {
	return !slices.ContainsFunc(t.rows, func(i int) bool {
		row := t.run.rows[i]
		starts := row.State.Pending() && row.State != recover.RowWaiting
		return row.Tier == tier && (starts || row.State == recover.RowUp && !t.run.settles(i))
	})
}

// startsOf are the names of a row and of those that its start brings along: what has
// not had its turn yet.
func startsOf(rows []recover.Row, i int) []string {
	names := []string{rows[i].Name}
	for _, other := range rows {
		if other.State == recover.RowQueued && slices.Contains(rows[i].Brings, other.Name) {
			names = append(names, other.Name)
		}
	}
	return names
}

// tierNames are the rows that start with the tiers.
func tierNames(rows []recover.Row) (names []string) {
	for _, row := range rows {
		if !row.Grouped() {
			names = append(names, row.Name)
		}
	}
	return names
}

package recover

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// NotMounted is the error of a start that would have run into an empty
// directory.
type NotMounted struct{ Points []string }

func (e *NotMounted) Error() string {
	return "waits for a mount: " + strings.Join(e.Points, " ") + " is not mounted"
}

// A wake says that a row need not wait any longer, or, with an error, that it
// waits in vain.
type wake struct {
	row int
	err error
}

// awaitNeeded has a row whose start failed for want of others wait for those
// of them that are still to come up. It reports false where there are none.
func (r *Run) awaitNeeded(ctx context.Context, i int, o Outcome, why string) bool {
	var on []int
	for j, other := range r.rows {
		// Those that are started alone come in an order that this must not upset.
		if slices.Contains(o.Blockers, other.Unit) && j != i && other.State.Pending() && !other.Alone && !r.rows[i].Alone {
			on = append(on, j)
		}
	}
	switch {
	case len(on) > 0:
		r.tries[i]-- // what failed was another
		r.needs[i] = on
		r.set(i, RowWaiting, Waiting, why)
	case len(o.NotMounted) > 0:
		r.awaitMounts(ctx, i, o.NotMounted, (&NotMounted{o.NotMounted}).Error())
	default:
		return false
	}
	return true
}

// awaitMounts has a row wait until its mounts are there.
func (r *Run) awaitMounts(ctx context.Context, i int, points []string, why string) {
	r.tries[i]--
	r.set(i, RowWaiting, Waiting, why)
	r.later(ctx, i, func(ctx context.Context) error { return r.starter.AwaitMounts(ctx, points) })
}

// later wakes a row when until returns.
func (r *Run) later(ctx context.Context, row int, until func(context.Context) error) {
	r.workers.Go(func() {
		err := until(ctx)
		select {
		case r.wakes <- wake{row, err}:
		case <-ctx.Done():
		}
	})
}

func (r *Run) wake(w wake) {
	switch row := r.rows[w.row]; {
	case !row.State.Pending(): // given up meanwhile
	case w.err != nil:
		r.set(w.row, RowFailed, GaveUp, fmt.Sprintf("%s: %v", row.Error, w.err))
	default:
		r.requeue(w.row)
	}
}

// requeue has a row start again. One that has waited is given its turn where
// the tiers are over, or it is to start alone.
func (r *Run) requeue(i int) {
	waited := r.rows[i].State == RowWaiting
	r.move(i, RowQueued)
	if !waited || !r.tiered && !r.rows[i].Alone {
		r.enqueue(i)
	}
}

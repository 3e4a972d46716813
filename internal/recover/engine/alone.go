package engine

import (
	"context"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// turns starts the rows that are to start alone, one at a time, and in between
// the rows of the tiers whose wait has ended.
func (r *Run) turns(ctx context.Context) error {
	others := true // containers that need not be alone may be in flight
	for r.left > 0 {
		i := nextTurn(r.rows, r.queue)
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
func nextTurn(rows []recover.Row, queue []int) int {
	for i, row := range rows {
		if row.State == recover.RowQueued && !slices.Contains(queue, i) {
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
	if row.State == recover.RowWaiting || row.State == recover.RowNoNetwork {
		return nil // it was not started
	}
	return r.stepUntil(ctx, time.After(min(r.policy.Probation, limit-time.Since(began))), nil, never)
}

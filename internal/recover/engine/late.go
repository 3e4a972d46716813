package engine

import (
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// lateRows are the rows that have waited for a mount. When it comes, it ends the waits of
// many of them at once. They still start tier by tier.
type lateRows struct {
	points map[int][]string  // that a row waits for, or has waited for
	since  map[int]time.Time // when the wait ended
}

func newLateRows() lateRows {
	return lateRows{points: map[int][]string{}, since: map[int]time.Time{}}
}

// wait notes that a row waits for mount points.
func (l lateRows) wait(i int, points []string) {
	l.points[i] = points
	delete(l.since, i)
}

// wake notes that a row waits no longer, if it has waited for mount points.
func (l lateRows) wake(i int) {
	if l.points[i] != nil && l.since[i].IsZero() {
		l.since[i] = time.Now()
	}
}

// until is the latest time until which a row of the queue leaves the start to late rows of
// lower tiers. It is in the past if the row can start. As in the tiers, one that hangs gives
// way when the tier's deadline has passed.
func (l lateRows) until(r *Run, i int) (until time.Time) {
	began := l.since[i]
	if began.IsZero() || r.rows[i].Grouped() || r.tries[i] > 0 {
		return until
	}
	for j, points := range l.points {
		lower := r.rows[j]
		if lower.Tier >= r.rows[i].Tier || lower.Grouped() || lower.Job {
			continue
		}
		var ends time.Time
		switch last := lower.LastAttempt(); {
		case l.since[j].IsZero():
			if lower.State == recover.RowWaiting && !slices.ContainsFunc(points, func(point string) bool {
				return !slices.Contains(l.points[i], point)
			}) {
				ends = began.Add(r.policy.TierDeadline) // its wait is about to end, too
			}
		case lower.State == recover.RowQueued && r.tries[j] == 0:
			ends = r.ends
		case last != nil && (lower.State == recover.RowStarting && r.tries[j] == 1 || r.health.delay(j)):
			ends = last.Started.Add(r.policy.TierDeadline)
		}
		if ends.After(until) {
			until = ends
		}
	}
	return until
}

// next takes the first row out of the queue that can start, and returns -1 without one.
// Then again is when there may be one, zero with an empty queue.
func (l lateRows) next(r *Run) (i int, again time.Time) {
	for n, i := range r.queue {
		until := l.until(r, i)
		if !until.After(time.Now()) {
			r.queue = slices.Delete(r.queue, n, n+1)
			return i, time.Time{}
		}
		if again.IsZero() || until.Before(again) {
			again = until
		}
	}
	return -1, again
}

// held reports whether rows of the queue leave the start to others.
func (l lateRows) held(r *Run) bool {
	return slices.ContainsFunc(r.queue, func(i int) bool { return l.until(r, i).After(time.Now()) })
}

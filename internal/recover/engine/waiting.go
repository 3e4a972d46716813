package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// NotMounted is the error of a start that would have run into an empty
// directory.
type NotMounted struct{ Points []string }

func (e *NotMounted) Error() string {
	return "waits for a mount: " + strings.Join(e.Points, " ") + " is not mounted"
}

// awaitNeeded has a row whose start failed for want of other units wait for those
// rows among them that are still pending. It reports false if there are none.
func (r *Run) awaitNeeded(ctx context.Context, i int, o recover.Outcome, why string) bool {
	var on []int
	offline := false
	for j, other := range r.rows {
		if slices.Contains(o.Blockers, other.Unit) && j != i && other.State.Pending() && !r.waitsFor(j, i) {
			on = append(on, j)
		}
		offline = offline || slices.Contains(o.Blockers, other.Unit) && j != i && other.State == recover.RowNoNetwork
	}
	switch {
	case offline:
		r.tries[i]--
		r.offline.await(ctx, r, i, why)
	case len(on) > 0:
		r.tries[i]-- // what failed was another
		r.needs[i] = on
		r.set(i, recover.RowWaiting, Waiting, why)
	case len(o.NotMounted) > 0 && r.tries[i] == 1:
		r.awaitMounts(ctx, i, o.NotMounted, (&NotMounted{o.NotMounted}).Error())
	default:
		return false
	}
	return true
}

// needsStopped leaves a row alone whose start failed for want of a container that was
// stopped on purpose. It reports false if there is none.
func (r *Run) needsStopped(i int, o recover.Outcome) bool {
	for j, other := range r.rows {
		if slices.Contains(o.Blockers, other.Unit) && isStopped(other.State) {
			r.leave(i, j)
			return true
		}
	}
	return false
}

// isStopped reports whether a row in that state was stopped on purpose, or needs one that
// was.
func isStopped(state recover.RowState) bool {
	return state == recover.RowUserStopped || state == recover.RowNeedsStopped
}

// leave leaves a row alone, since it needs one that was stopped on purpose.
func (r *Run) leave(i, needed int) {
	stopped := []string{r.rows[needed].Name}
	if r.rows[needed].State == recover.RowNeedsStopped {
		stopped = r.rows[needed].Stopped
	}
	r.rows[i].Stopped = stopped
	r.set(i, recover.RowNeedsStopped, Skipped, (&recover.NeedsStopped{Names: stopped}).Error())
}

// started are the states of a container that has been started, by whomever.
var started = []recover.RowState{recover.RowUp, recover.RowRestarting, recover.RowDone, recover.RowActive}

// release has the rows that wait for row i go on or fail, now that i has settled.
func (r *Run) release(i int) {
	for waiting, on := range r.needs {
		if !slices.Contains(on, i) {
			continue
		}
		switch needed := r.rows[i]; {
		case isStopped(needed.State):
			delete(r.needs, waiting)
			r.leave(waiting, i)
		case slices.Contains(started, needed.State):
			r.needs[waiting] = slices.DeleteFunc(slices.Clone(on), func(n int) bool { return n == i })
			if len(r.needs[waiting]) == 0 {
				delete(r.needs, waiting)
				r.requeue(waiting)
			}
		default:
			delete(r.needs, waiting)
			r.set(waiting, recover.RowFailed, GaveUp, fmt.Sprintf("needs %s, which is %s", needed.Name, needed.State))
		}
	}
}

// neededRows are the rows that a waiting row waits for.
type neededRows map[int][]int

// awaitMounts has a row wait until its mounts are there. Not less than the pause
// between two attempts, if it was tried: what failed to be mounted may look well.
func (r *Run) awaitMounts(ctx context.Context, i int, points []string, why string) {
	r.late.wait(i, points)
	r.set(i, recover.RowWaiting, Waiting, why)
	tried := r.tries[i] > 0
	r.later(ctx, i, func() {
		if tried {
			Sleep(ctx, r.policy.RetryPause)
		}
		if r.starter.AwaitMounts(ctx, points) != nil { // not known: the next try will tell
			Sleep(ctx, r.policy.RetryPause)
		}
	})
}

// A wake says that a row need not wait any longer.
type wake struct{ row, wait int }

// later wakes a row when wait returns, unless it has begun to wait for something else.
func (r *Run) later(ctx context.Context, row int, wait func()) {
	r.waits[row]++
	w := wake{row, r.waits[row]}
	r.workers.Go(func() {
		wait()
		send(ctx, r.wakes, w)
	})
}

// wake has a row go on whose wait has ended. After READY a hold can keep it.
func (r *Run) wake(i int) {
	if r.ready {
		r.retries.woken[i] = true
		return
	}
	r.requeue(i)
}

// requeue has a row start again. A row that has waited is given its turn when the
// tiers have ended, and after READY if it is a suspect.
func (r *Run) requeue(i int) {
	row := r.rows[i]
	waited := row.State == recover.RowWaiting || row.State == recover.RowNoNetwork
	if r.ready && r.offline.rows[i] {
		r.offline.renew(r)
	}
	delete(r.offline.rows, i)
	delete(r.retries.woken, i)
	r.late.wake(i)
	r.move(i, recover.RowQueued)
	if !waited || !r.tiered || r.ready && !row.Alone {
		r.enqueue(i)
	}
}

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

package engine

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
)

// A change is what a follower reports of the container that a row's attempt started.
type change struct {
	row, attempt int // attempt is how many the row had then
	life         recover.Life
	steady       bool // it has lasted a soak since its start, or since its last restart
	over         bool // it is not followed any more
}

// follow follows the container of a row that was started until its soak is over and READY
// has come, and a job until it ends. now is how the start has left it.
func (r *Run) follow(ctx context.Context, i int, now recover.LifeState) {
	r.following++
	row := r.rows[i]
	f := &follower{r.starter, &r.policy, r.recovering}
	tell := func(c change) {
		c.row, c.attempt = i, row.Made()
		send(ctx, r.changes, c)
	}
	r.workers.Go(func() {
		f.awaitChanges(ctx, &row, recover.Life{State: now}, tell)
		tell(change{over: true})
	})
}

// changesEvery is the least time between two restarts of a container that are told,
// and between two answers that say the same: a container that restarts in a loop, or
// a Starter that does not wait, must not keep the run busy.
const changesEvery = 500 * time.Millisecond

// A follower follows containers, without a hand on the run. Hundreds of them wait at a time, so what
// is on their stacks counts: rows and policies are pointed to.
type follower struct {
	starter    Starter
	policy     *recover.Policy
	recovering context.Context // ends at READY
}

// awaitChanges tells each change of a container's life. What cannot be asked is asked
// again: the container stays what it was.
func (f *follower) awaitChanges(ctx context.Context, row *recover.Row, last recover.Life, tell func(change)) {
	var soaked time.Time // zero while there is no soak to wait for
	if !row.Job && last.State != recover.LifeRestarting {
		soaked = time.Now().Add(f.policy.Soak)
	}
	for known := last; ctx.Err() == nil; {
		asking, cancel := ctx, context.CancelFunc(func() {})
		if !soaked.IsZero() {
			asking, cancel = context.WithDeadline(ctx, soaked)
		}
		life, err := f.starter.Await(asking, row, last)
		switch {
		case err != nil && asking.Err() == nil:
			Sleep(asking, f.policy.RetryPause)
		case err == nil && life == last:
			Sleep(asking, changesEvery)
		}
		late := asking.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !late {
				continue
			}
			tell(change{steady: true})
			if !row.Job {
				// What becomes of it is no part of recovery any more. But until READY the Starter
				// learns of it, so that READY says how many run.
				ctx, tell = f.recovering, func(change) {}
			}
			soaked = time.Time{} // a job is followed until it ends
			continue
		}
		last = life
		switch {
		case life.State == recover.LifeUnknown:
			continue
		case life.State == recover.LifeRestarting:
			soaked = time.Time{} // it begins anew when the container runs again
		case known.State == recover.LifeRestarting, life.Restarts > known.Restarts:
			soaked = time.Now().Add(f.policy.Soak)
		}
		loops := known.Restarts > 0
		known = life
		tell(change{life: life})
		if life.State == recover.LifeEnded || life.State == recover.LifeStopped {
			return
		}
		if loops {
			Sleep(ctx, changesEvery)
		}
	}
}

// hear records what has become of a container.
func (r *Run) hear(ctx context.Context, c change) {
	if c.over {
		r.following--
	}
	row := &r.rows[c.row]
	started := row.State == recover.RowUp || row.State == recover.RowRestarting
	if !started || row.Made() != c.attempt {
		return
	}
	if c.steady {
		if row.State == recover.RowRestarting {
			r.set(c.row, recover.RowUp, Up, "")
		}
		return
	}
	restarted := c.life.Restarts > row.Restarts
	row.Restarts = max(row.Restarts, c.life.Restarts)
	switch c.life.State {
	case recover.LifeStopped:
		if c.life.Because != "" { // nobody asked for it, so it should run
			r.set(c.row, recover.RowSkipped, Skipped, "systemd stopped it because "+c.life.Because)
			return
		}
		r.set(c.row, recover.RowUserStopped, Skipped, "someone stopped it after its start")
	case recover.LifeEnded:
		r.end(ctx, c.row, c.life)
	case recover.LifeRestarting:
		if restarted || row.State == recover.RowUp {
			r.restarts(ctx, c.row, c.life)
		}
	case recover.LifeRuns:
		if restarted {
			r.restarts(ctx, c.row, c.life)
		}
	}
}

// end records the end of a container that was up. Before READY the first fall is a
// failed attempt, such as that of an app whose database was not ready. Where systemd
// or podman has restarted it, there is no second attempt by us.
func (r *Run) end(ctx context.Context, i int, life recover.Life) {
	row := &r.rows[i]
	n := len(row.Attempts) - 1
	fall := fallOf(life)
	if row.Job && life.ExitCode == 0 && !life.OOMKilled && (life.Result == "" || life.Result == "success") {
		row.ChangeAttempt(n, func(a *recover.Attempt) { a.Done = fall.At })
		r.set(i, recover.RowDone, Ended, "")
		return
	}
	why := fall.Sentence(row.Attempts[n].Ended)
	if life.Because != "" {
		why += ": " + life.Because
	}
	row.ChangeAttempt(n, func(a *recover.Attempt) {
		a.Fell, a.Error = &fall, why
		if fall.Result != "" {
			a.Result = fall.Result
		}
	})
	if row.State == recover.RowUp && r.tries[i] == 1 && !row.Job && !r.ready && !r.expired {
		r.flight.Add(row.Name) // until its second attempt: its soak must not end before that begins
		r.retry(ctx, i, why)
		if row.Attempts[n].Offline {
			r.tries[i]--
			r.offline.await(ctx, r, i, withoutNetwork+why)
		}
	} else {
		r.set(i, recover.RowFell, Fell, why)
	}
	r.explain(ctx, i)
}

// restarts records that systemd or podman starts a container again.
func (r *Run) restarts(ctx context.Context, i int, life recover.Life) {
	row := &r.rows[i]
	n := len(row.Attempts) - 1
	fall := fallOf(life)
	if first := row.Attempts[n].Fell; first != nil {
		fall.At = first.At
	}
	row.ChangeAttempt(n, func(a *recover.Attempt) { a.Fell = &fall })
	why := fall.Sentence(row.Attempts[n].Ended) + ", and is started again by systemd or podman"
	if row.State == recover.RowUp {
		r.set(i, recover.RowRestarting, Restarting, why)
		r.explain(ctx, i)
		return
	}
	row.Error = why
	r.notify(Event{Kind: Restarting, Tier: row.Tier, Index: i, Row: *row})
}

func fallOf(life recover.Life) recover.Fall {
	return recover.Fall{At: time.Now(), ExitCode: life.ExitCode, Result: life.Result, OOMKilled: life.OOMKilled}
}

// retry has a row tried once more after the pause.
func (r *Run) retry(ctx context.Context, i int, why string) {
	r.set(i, recover.RowRetrying, AttemptFailed, why)
	r.later(ctx, i, func() { Sleep(ctx, r.policy.RetryPause) })
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"pgregory.net/rapid"
)

// A course is what one attempt does: how its start goes, and what comes then.
type course struct {
	delay   time.Duration
	outcome recover.Outcome
	err     error
	hangs   bool
	lives   []moment
}

// drawCourse draws what an attempt of a container does; others are units that it can
// need.
func drawCourse(rt *rapid.T, job bool, others []string) (c course) {
	c.delay = time.Duration(rapid.IntRange(0, 900).Draw(rt, "delay")) * 100 * time.Millisecond
	c.outcome = recovertest.Up
	if job {
		c.outcome = jobRuns
	}
	switch rapid.IntRange(0, 12).Draw(rt, "start") {
	case 0:
		c.outcome = recovertest.Failed
	case 1:
		c.hangs = true
	case 2:
		c.outcome = needs(rapid.SampledFrom(others).Draw(rt, "needs"))
	case 3:
		c.outcome = recover.Outcome{Job: "canceled", UnitState: recover.UnitState{Active: "inactive"}}
	case 4:
		c.outcome = recover.Outcome{Job: "failed", Result: "exit-code",
			UnitState: recover.UnitState{Loaded: true, Active: "activating", Sub: "auto-restart"}}
		c.lives = append(c.lives, lives(0, recover.LifeRestarting, 0))
	case 5:
		c.err = recovertest.ErrBroken
	case 6:
		c.outcome = recover.Outcome{Job: "done", Result: "success", UnitState: recover.UnitState{Active: "inactive"}}
	case 7:
		c.err = &NotMounted{Points: []string{"/m"}}
	}
	at, restarts := time.Duration(0), 0
	for range rapid.IntRange(0, 5).Draw(rt, "changes") {
		at += time.Duration(rapid.IntRange(1, 300).Draw(rt, "after")) * 100 * time.Millisecond
		m := moment{after: at, life: recover.Life{State: recover.LifeRuns, Restarts: restarts}}
		switch rapid.IntRange(0, 8).Draw(rt, "life") {
		case 0, 1:
			m.life.State, m.life.ExitCode = recover.LifeEnded, rapid.IntRange(0, 2).Draw(rt, "code")
		case 2:
			m.life.State = recover.LifeStopped
			m.life.Because = rapid.SampledFrom([]string{"", "pod.service was stopped"}).Draw(rt, "because")
		case 3:
			m.life.State = recover.LifeUnknown
		case 4:
			m.err = recover.ErrNoBus
		case 5:
			restarts++
			m.life.Restarts = restarts
		case 6, 7:
			m.life.State = recover.LifeRestarting
		}
		c.lives = append(c.lives, m)
		if m.life.State == recover.LifeEnded || m.life.State == recover.LifeStopped {
			break
		}
	}
	return c
}

// mustEnd gives a course of a job an end, so that the run can end.
func (c course) mustEnd() course {
	after := time.Hour
	c.lives = append(c.lives, moment{after: after, life: recover.Life{State: recover.LifeEnded, ExitCode: 3}})
	return c
}

// Whatever becomes of containers: READY comes by the deadline, nothing waits for a
// job, each row has at most two attempts and a job or what others restart one, a fall
// is kept, and an explanation is that of its attempt.
func TestWhateverBecomesOfContainers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var rs []recover.Row
		courses := map[string][]course{}
		var units []string
		n := rapid.IntRange(1, 6).Draw(rt, "containers")
		for i := range n {
			units = append(units, fmt.Sprintf("c%d.service", i))
		}
		for i := range n {
			row := recover.Row{Name: fmt.Sprintf("c%d", i), Unit: units[i], State: recover.RowQueued,
				Tier: rapid.IntRange(0, 2).Draw(rt, "tier"), Job: rapid.IntRange(0, 3).Draw(rt, "job") == 0,
				Alone: rapid.IntRange(0, 5).Draw(rt, "alone") == 0}
			if row.Alone {
				row.Group = rapid.IntRange(1, 3).Draw(rt, "group")
			}
			rs = append(rs, row)
			for range 2 {
				courses[row.Name] = append(courses[row.Name], drawCourse(rt, row.Job, units).mustEnd())
			}
		}
		p := oncePolicy()
		p.MinParallel = rapid.IntRange(1, 3).Draw(rt, "parallel")
		p.MaxParallel = p.MinParallel
		explainTakes := time.Duration(rapid.IntRange(0, 60).Draw(rt, "explain takes")) * time.Second
		mounted := rapid.Bool().Draw(rt, "mounted")
		synctest.Test(t, func(t *testing.T) {
			s := newLifeStarter(recovertest.NewHost())
			s.explain = tellsAfter(func(recover.Row) time.Duration { return explainTakes })
			s.h.Mounted = make(chan struct{})
			if mounted {
				close(s.h.Mounted)
			}
			starts := map[string]int{}
			var mu sync.Mutex
			of := func(name string, attempt int) course { return courses[name][min(attempt, 2)-1] }
			for i := range rs {
				name := rs[i].Name
				s.lives[name] = func(attempt int) []moment { return of(name, attempt).lives }
				s.h.Start[rs[i].Unit] = func(ctx context.Context, attempt int) (recover.Outcome, error) {
					mu.Lock()
					starts[name]++
					mu.Unlock()
					c := of(name, attempt)
					if Sleep(ctx, c.delay); c.hangs || ctx.Err() != nil {
						return recovertest.Hangs(ctx, attempt)
					}
					if points := (*NotMounted)(nil); errors.As(c.err, &points) && attempt > 3 {
						return recovertest.Failed, nil
					}
					return c.outcome, c.err
				}
			}
			rows := map[string]recover.Row{}
			restarted := map[string]int{} // attempts at which systemd restarted it
			began := time.Now()
			var disk []string
			flight := NewFlight(func(names []string) error {
				mu.Lock()
				defer mu.Unlock()
				disk = names
				return nil
			}, func(string) {})
			ready := false
			run := New(rs, p, s, flight, recovertest.Gauge{H: s.h}, func(e Event) {
				if e.Row.Name == "" {
					return
				}
				before := rows[e.Row.Name]
				rows[e.Row.Name] = e.Row
				tries := len(e.Row.Attempts)
				switch {
				case e.Kind == Restarting:
					restarted[e.Row.Name] = tries
				case e.Kind == Starting && restarted[e.Row.Name] > 0 && restarted[e.Row.Name] < tries:
					rt.Errorf("%s is started again, though systemd restarts it", e.Row.Name)
				case e.Kind == Starting && ready && !e.Row.Job:
					rt.Errorf("%s is started after READY", e.Row.Name)
				case e.Kind == AttemptFailed && ready:
					rt.Errorf("%s is to be retried after READY", e.Row.Name)
				case e.Kind == Explained && before.State != e.Row.State && e.Row.State != recover.RowQueued: // has no event
					rt.Errorf("an explanation moves %s from %s to %s", e.Row.Name, before.State, e.Row.State)
				}
				limit := 2 // and those that failed for want of another
				if e.Row.Job {
					limit = 1
				}
				if tries > limit+len(e.Row.Waits) {
					rt.Errorf("%s has %d attempts and %d waits", e.Row.Name, tries, len(e.Row.Waits))
				}
			})
			if err := run.Do(t.Context()); err != nil {
				rt.Fatal(err)
			}
			ready = true
			if took := time.Since(began); took > p.Deadline+time.Second {
				rt.Errorf("READY after %s", took)
			}
			for _, row := range rows {
				if row.State.Pending() && !row.Job {
					rt.Errorf("%s is %s at READY", row.Name, row.State)
				}
			}
			if err := run.Follow(t.Context()); err != nil {
				rt.Fatal(err)
			}
			for _, row := range rows {
				last := row.LastAttempt()
				switch {
				case row.State.Pending(), row.State == recover.RowRestarting, row.Job && row.State == recover.RowUp:
					rt.Errorf("%s (job: %v) is %s in the end", row.Name, row.Job, row.State)
				case row.State == recover.RowFell && last.Fell == nil:
					rt.Errorf("%s fell, and its attempt does not say so", row.Name)
				case row.State == recover.RowDone && (!row.Job || last.Done.IsZero()):
					rt.Errorf("%s is done: %+v", row.Name, row)
				}
				for i, a := range row.Attempts {
					if want := fmt.Sprint(row.Name, " ", i+1); a.Why != nil && a.Why.Cause != want {
						rt.Errorf("attempt %s is explained by %q", want, a.Why.Cause)
					}
				}
			}
			time.Sleep(p.Soak + 2*FlushWithin)
			mu.Lock()
			defer mu.Unlock()
			if len(disk) > 0 {
				rt.Errorf("in flight for good: %q", slices.Clone(disk))
			}
		})
	})
}

package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"

	"pgregory.net/rapid"
)

// Power cuts and kills of the daemon that no container caused, at any moments,
// one container that hangs, some that fall, and up to two culprits: in the end all run that can and
// are not quarantined, and nothing speaks against them any more. Only a power cut or a second
// culprit quarantines an innocent one, and no kill of the daemon does: the theory is that one
// container explains all crashes. A parole would let it go, and there is none here. Each
// culprit is found in the end. That takes ten crashes as a rule, and some more where kills of the daemon let
// several be in flight each time. Two culprits refute each other, and the theory begins anew: one in some ten
// thousand histories goes on like that.
func TestChaosOfAHost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFleet(t)
		p := oncePolicy()
		p.Parole = nil
		p.MaxParallel = rapid.IntRange(1, 8).Draw(rt, "parallel")
		moment := func(most int, what string) time.Duration {
			return time.Duration(rapid.IntRange(1, most*10).Draw(rt, what))*100*time.Millisecond + 7*time.Millisecond
		}
		moments := func(most, longest int, what string) (all []time.Duration) {
			for range rapid.IntRange(0, most).Draw(rt, what+"s") {
				all = append(all, moment(longest, what))
			}
			return all
		}
		n := rapid.IntRange(1, 8).Draw(rt, "containers")
		culprits := map[string]time.Duration{}
		for i := range n {
			name := fmt.Sprint("c", i)
			f.add(name, rapid.IntRange(0, 4).Draw(rt, "tier"), moment(10, "takes"))
			switch rapid.IntRange(0, 7).Draw(rt, "ails") {
			case 0: // of several suspects that hang, each is in flight with those after it
				f.hangs[name] = len(f.hangs) == 0
			case 1:
				f.falls[name] = moment(19, "falls after")
			}
			if len(culprits) < 2 && rapid.IntRange(0, 3).Draw(rt, "culprit") == 0 {
				culprits[name] = f.takes[name] + moment(19, "dies after")
			}
		}
		cuts := moments(20, 200, "cut")
		for _, cut := range cuts {
			f.boots(t, p, culprits, moments(3, 30, "kill"), cut)
		}
		f.crashes = 0
		var report recover.Report
		for complete := false; !complete; {
			complete, report = f.boots(t, p, culprits, moments(3, 30, "kill"), 0)
			switch {
			case len(culprits) > 1 && f.crashes > 60:
				return // the limit that docs/recovery.md names
			case len(culprits) < 2 && f.crashes > 20*len(culprits):
				rt.Fatalf("%d crashes with %d culprits: %+v", f.crashes, len(culprits), f.host.Quarantine)
			}
		}
		if len(report.Rows) != n {
			rt.Errorf("%d of %d containers are in the report", len(report.Rows), n)
		}
		for _, row := range report.Rows {
			_, guilty := culprits[row.Name]
			suspect, suspected := f.host.Quarantine.Find(row.Name)
			switch {
			case guilty != (row.State == recover.RowQuarantined) && (guilty || len(cuts) == 0 && len(culprits) < 2):
				rt.Errorf("%s is %s (%s); guilty: %v", row.Name, row.State, row.Error, guilty)
			case row.State == recover.RowQuarantined:
			case f.hangs[row.Name] && row.State == recover.RowFailed, f.falls[row.Name] > 0 && row.State == recover.RowFell:
				// it has not lived through a soak, and stays a suspect if it was one
			case row.State != recover.RowUp && row.State != recover.RowActive:
				rt.Errorf("%s is %s (%s)", row.Name, row.State, row.Error)
			case suspected && suspect.Lived == 0 && f.falls[row.Name] == 0:
				rt.Errorf("it has lived, and that does not count: %+v", suspect)
			}
		}
	})
}

// boots is one boot, in which the daemon is killed after each of kills and starts
// again. It lasts until recovery is complete and each soak is over,
// or until a culprit takes the host down or the power is cut.
func (f *fleet) boots(t *testing.T, p recover.Policy, culprits map[string]time.Duration, kills []time.Duration,
	cut time.Duration) (complete bool, report recover.Report) {
	synctest.Test(t, func(t *testing.T) {
		h := f.host
		f.boot++
		f.dead, h.Dead = false, false
		clear(h.Sightings)
		for unit := range h.Units {
			h.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
		}
		living, die := context.WithCancel(t.Context())
		defer die()
		h.Lives = map[string]chan recover.Life{}
		for name := range f.falls {
			h.Lives[name+".service"] = make(chan recover.Life)
		}
		dead := func(daemon bool) {
			h.Mu.Lock()
			defer h.Mu.Unlock()
			h.Dead = daemon || f.dead
		}
		for name, takes := range f.takes {
			h.Start[name+".service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
				h.Mu.Lock()
				gone := h.Dead
				h.Mu.Unlock()
				if gone { // a daemon that was killed starts nothing
					return recover.Outcome{}, recovertest.ErrBroken
				}
				if after, guilty := culprits[name]; guilty {
					time.AfterFunc(after, func() { f.die(); die() })
				}
				if f.hangs[name] {
					return recovertest.Hangs(ctx, 1)
				}
				o, err := recovertest.UpAfter(takes)(ctx, 1)
				if after := f.falls[name]; after > 0 && err == nil {
					go func() {
						engine.Sleep(living, after)
						select {
						case h.Lives[name+".service"] <- recover.Life{State: recover.LifeEnded, ExitCode: 1, Result: "exit-code"}:
						case <-living.Done():
						}
					}()
				}
				return o, err
			}
		}
		if cut > 0 {
			time.AfterFunc(cut, func() { f.die(); die() })
		}
		for starts := 0; living.Err() == nil && !complete; starts++ {
			s := New(worldOf(h), p, recover.Identity{BootID: fmt.Sprint("b", f.boot), PID: 1, StartTime: uint64(starts)})
			ctx, kill := context.WithCancel(living)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = s.Run(ctx)
			}()
			last := starts >= len(kills)
			limit := p.Deadline + p.Soak + time.Minute
			if !last {
				limit = kills[starts]
			}
			if engine.Sleep(living, limit); living.Err() == nil && last {
				st, _ := s.Status()
				complete, report = st.RecoveryComplete, st.Recovery
			}
			dead(true)
			kill()
			<-done
			s.suspects.flight.Close()
			dead(false)
		}
	})
	return complete, report
}

// Whatever starts do, with whatever policy, and whatever becomes of the containers: a run
// ends, by its deadline, with nothing pending but jobs; each container is on disk before
// its start, and leaves the flight; no transition is impossible; a row tells what became
// of its container last.
func TestChaosOfARun(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(rt, "n")
		type step struct {
			kind  int
			delay time.Duration
			block []string
		}
		h := recovertest.NewHost()
		p := oncePolicy()
		p.MaxParallel = rapid.IntRange(0, 4).Draw(rt, "max")
		p.MinParallel = rapid.IntRange(0, 6).Draw(rt, "min")
		dur := func(what string, ds ...time.Duration) time.Duration { return rapid.SampledFrom(ds).Draw(rt, what) }
		p.Deadline = dur("deadline", 0, time.Second, 100*time.Second, 15*time.Minute)
		p.TierDeadline = dur("tier", 0, time.Second, time.Minute, time.Hour)
		p.RetryPause = dur("pause", 0, time.Second, 10*time.Second)
		p.Soak = dur("soak", 0, time.Second, 20*time.Second)
		p.Probation = dur("prob", 0, time.Second, 10*time.Second)
		p.FirstAttempt = dur("first", 0, time.Second, 120*time.Second)
		p.SecondAttempt = dur("second", 0, time.Second, 180*time.Second)
		if rapid.Bool().Draw(rt, "healthy") {
			p.WaitFor = recover.WaitForHealthy
		}
		cut := dur("cut", 0, time.Second, 30*time.Second, time.Hour, time.Hour)
		var rs []recover.Row
		plans := map[string][]step{}
		fates := map[string]*fate{}
		for i := range n {
			name := fmt.Sprint("c", i)
			r := recover.Row{Name: name, Unit: name + ".service", Tier: rapid.IntRange(0, 3).Draw(rt, "tier"),
				State: recover.RowQueued}
			r.Alone = rapid.IntRange(0, 2).Draw(rt, "alone") == 0
			if r.Alone {
				r.Strikes = rapid.IntRange(0, 3).Draw(rt, "strikes")
			}
			if rapid.IntRange(0, 9).Draw(rt, "final") == 0 {
				r.State, r.Alone = recover.RowActive, false
			}
			r.Job = rapid.IntRange(0, 4).Draw(rt, "job") == 0
			rs = append(rs, r)
			fates[name] = drawFate(rt)
			for range 6 {
				s := step{kind: rapid.IntRange(0, 9).Draw(rt, "kind"),
					delay: dur("delay", 0, 0, time.Second, 30*time.Second, 200*time.Second)}
				for range rapid.IntRange(0, 2).Draw(rt, "blocks") {
					s.block = append(s.block, fmt.Sprintf("c%d.service", rapid.IntRange(0, n-1).Draw(rt, "on")))
				}
				plans[name] = append(plans[name], s)
			}
		}
		slices.SortFunc(rs, func(a, b recover.Row) int {
			if a.Alone != b.Alone {
				if a.Alone {
					return 1
				}
				return -1
			}
			return a.Tier - b.Tier
		})
		gauge := rapid.IntRange(0, 3).Draw(rt, "gauge")
		comes := rapid.Bool().Draw(rt, "mount comes")
		mountAt := dur("mount at", 0, time.Second, 200*time.Second)
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			h.Stalls = func() (recover.Stalls, error) {
				asked++
				switch gauge {
				case 1:
					if asked > 3 {
						return recover.Stalls{}, recovertest.ErrBroken
					}
				case 2:
					return recover.Stalls{Memory: time.Duration(100-asked) * time.Second}, nil
				case 3:
					return recover.Stalls{}, recovertest.ErrBroken
				}
				return recover.Stalls{}, nil
			}
			h.Mounted = make(chan struct{})
			h.Lives = map[string]chan recover.Life{}
			for name := range fates {
				h.Lives[name+".service"] = make(chan recover.Life)
			}
			living, end := context.WithCancel(t.Context())
			defer end()
			for name, plan := range plans {
				h.Start[name+".service"] = func(ctx context.Context, attempt int) (o recover.Outcome, err error) {
					defer func() {
						if err == nil && o.Active == "active" {
							go fates[name].play(living, h.Lives[name+".service"])
						}
					}()
					s := plan[min(attempt-1, len(plan)-1)]
					engine.Sleep(ctx, s.delay)
					if ctx.Err() != nil {
						return recover.Outcome{}, ctx.Err()
					}
					switch s.kind {
					case 0, 1:
						return recovertest.Up, nil
					case 2:
						return recovertest.Failed, nil
					case 3:
						return needs(s.block...), nil
					case 4:
						return recovertest.Hangs(ctx, attempt)
					case 5:
						return recover.Outcome{}, recover.ErrOrderedAfterUs
					case 6:
						return recover.Outcome{Job: "canceled", UnitState: recover.UnitState{Active: "inactive"}}, nil
					case 7:
						if attempt < 4 {
							return recover.Outcome{}, &engine.NotMounted{Points: []string{"/m"}}
						}
						return recover.Outcome{}, recover.ErrMasked
					case 8:
						return recover.Outcome{}, recover.ErrUserStopped
					}
					return recover.Outcome{}, recovertest.ErrBroken
				}
			}
			if comes {
				time.AfterFunc(mountAt, func() { close(h.Mounted) })
			}
			ctx, stop := context.WithTimeout(t.Context(), cut)
			defer stop()
			began := time.Now()
			last := map[string]recover.Row{}
			var mu sync.Mutex
			var disk []string
			onDisk := func() []string {
				mu.Lock()
				defer mu.Unlock()
				return disk
			}
			flight := engine.NewFlight(func(names []string) error {
				mu.Lock()
				defer mu.Unlock()
				disk = names
				return nil
			}, func(string) {})
			run := engine.New(rs, p, starterOn(h, p), flight, recovertest.Gauge{H: h}, func(e engine.Event) {
				if e.Row.Name == "" {
					return
				}
				last[e.Row.Name] = e.Row
				if e.Row.State == recover.RowStarting && !slices.Contains(onDisk(), e.Row.Name) {
					rt.Errorf("%s is started and not on disk", e.Row.Name)
				}
			})
			err := run.Do(ctx)
			if took := time.Since(began); took > p.Deadline+time.Second {
				rt.Errorf("took %s", took)
			}
			if err == nil {
				for _, r := range rs {
					l, ok := last[r.Name]
					if r.State.Pending() && (!ok || l.State.Pending()) && !(r.Job && l.State != recover.RowQueued) {
						rt.Errorf("%s is left %s", r.Name, l.State)
					}
				}
				following, stop := context.WithTimeout(t.Context(), 10*time.Hour) // a job may run on
				defer stop()
				if err := run.Follow(following); err != nil && following.Err() == nil {
					rt.Errorf("it does not follow: %v", err)
				}
				for name, l := range last {
					fates[name].check(rt, l, p.Soak, began.Add(cut))
				}
				time.Sleep(p.Soak + 5*time.Second)
				synctest.Wait()
				if len(onDisk()) > 0 {
					rt.Errorf("aboard for good: %q", onDisk())
				}
			}
			flight.Close()
		})
	})
}

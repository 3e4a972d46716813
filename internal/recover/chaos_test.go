package recover

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Power cuts and kills of the daemon that no container caused, at any moments,
// and up to two culprits: in the end all run that are not quarantined, and nobody
// is suspected any more. Only a power cut while a suspect was alone quarantines an
// innocent one, and no kill of the daemon does. Each culprit takes the host down three times.
func TestWhateverHappensAHostIsRecovered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFleet(t)
		p := DefaultPolicy()
		p.MaxParallel = rapid.IntRange(1, 8).Draw(rt, "parallel")
		moment := func(max int, what string) time.Duration {
			return time.Duration(rapid.IntRange(1, max*10).Draw(rt, what))*100*time.Millisecond + 7*time.Millisecond
		}
		moments := func(most, max int, what string) (all []time.Duration) {
			for range rapid.IntRange(0, most).Draw(rt, what+"s") {
				all = append(all, moment(max, what))
			}
			return all
		}
		n := rapid.IntRange(1, 8).Draw(rt, "containers")
		culprits := map[string]time.Duration{}
		for i := range n {
			name := fmt.Sprint("c", i)
			f.add(name, rapid.IntRange(0, 4).Draw(rt, "tier"), moment(10, "takes"))
			if len(culprits) < 2 && rapid.IntRange(0, 3).Draw(rt, "culprit") == 0 {
				culprits[name] = f.takes[name] + moment(19, "dies after")
			}
		}
		cuts := moments(20, 200, "cut")
		for _, cut := range cuts {
			f.boots(t, p, culprits, moments(3, 30, "kill"), cut)
		}
		f.crashes = 0
		var report Report
		for complete := false; !complete; {
			complete, report = f.boots(t, p, culprits, moments(3, 30, "kill"), 0)
			if f.crashes > 3*len(culprits) {
				rt.Fatalf("%d crashes with %d culprits: %+v", f.crashes, len(culprits), f.host.quarantine)
			}
		}
		if len(report.Rows) != n {
			rt.Errorf("%d of %d containers are in the report", len(report.Rows), n)
		}
		for _, row := range report.Rows {
			_, guilty := culprits[row.Name]
			suspect, suspected := f.host.quarantine.Find(row.Name)
			switch {
			case guilty != (row.State == RowQuarantined) && (guilty || len(cuts) == 0):
				rt.Errorf("%s is %s (%s); guilty: %v", row.Name, row.State, row.Error, guilty)
			case row.State == RowQuarantined:
			case row.State != RowUp && row.State != RowActive:
				rt.Errorf("%s is %s (%s)", row.Name, row.State, row.Error)
			case suspected:
				rt.Errorf("still suspected: %+v", suspect)
			}
		}
	})
}

// boots is one boot, in which the daemon is killed after each of kills and starts
// again. It lasts until recovery is complete and everybody has lived their soak,
// or until a culprit takes the host down or the power is cut.
func (f *fleet) boots(t *testing.T, p Policy, culprits map[string]time.Duration, kills []time.Duration, cut time.Duration) (complete bool, report Report) {
	synctest.Test(t, func(t *testing.T) {
		h := f.host
		f.boot++
		f.dead, h.dead = false, false
		clear(h.sightings)
		for unit := range h.units {
			h.states[unit] = UnitState{Loaded: true, Active: "inactive"}
		}
		living, die := context.WithCancel(t.Context())
		defer die()
		dead := func(daemon bool) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.dead = daemon || f.dead
		}
		for name, takes := range f.takes {
			h.start[name+".service"] = func(ctx context.Context, _ int) (Outcome, error) {
				h.mu.Lock()
				gone := h.dead
				h.mu.Unlock()
				if gone { // a daemon that was killed starts nothing
					return Outcome{}, errBroken
				}
				if after, guilty := culprits[name]; guilty {
					time.AfterFunc(after, func() { f.die(); die() })
				}
				return upAfter(takes)(ctx, 1)
			}
		}
		if cut > 0 {
			time.AfterFunc(cut, func() { f.die(); die() })
		}
		for starts := 0; living.Err() == nil && !complete; starts++ {
			s := h.service(p)
			s.identity = Identity{BootID: fmt.Sprint("b", f.boot), PID: 1, StartTime: uint64(starts)}
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
			if sleep(living, limit); living.Err() == nil && last {
				st, _ := s.Status()
				complete, report = st.RecoveryComplete, st.Recovery
			}
			dead(true)
			kill()
			<-done
			s.flight.Close()
			dead(false)
		}
	})
	return complete, report
}

// Whatever starts do, with whatever policy: a run ends, by its deadline, with nothing
// pending; nobody is started who is not on disk, or stays in flight for good; and no
// transition is impossible.
func TestWhateverHappensARunEnds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(rt, "n")
		type step struct {
			kind  int
			delay time.Duration
			block []string
		}
		h := newHost(t)
		p := DefaultPolicy()
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
			p.WaitFor = WaitForHealthy
		}
		cut := dur("cut", 0, time.Second, 30*time.Second, time.Hour, time.Hour)
		var rs []Row
		plans := map[string][]step{}
		for i := range n {
			name := fmt.Sprint("c", i)
			r := Row{Name: name, Unit: name + ".service", Tier: rapid.IntRange(0, 3).Draw(rt, "tier"), State: RowQueued}
			r.Alone = rapid.IntRange(0, 2).Draw(rt, "alone") == 0
			if r.Alone {
				r.Strikes = rapid.IntRange(0, 3).Draw(rt, "strikes")
			}
			if rapid.IntRange(0, 9).Draw(rt, "final") == 0 {
				r.State, r.Alone = RowActive, false
			}
			rs = append(rs, r)
			for range 6 {
				s := step{kind: rapid.IntRange(0, 9).Draw(rt, "kind"), delay: dur("delay", 0, 0, time.Second, 30*time.Second, 200*time.Second)}
				for range rapid.IntRange(0, 2).Draw(rt, "blocks") {
					s.block = append(s.block, fmt.Sprintf("c%d.service", rapid.IntRange(0, n-1).Draw(rt, "on")))
				}
				plans[name] = append(plans[name], s)
			}
		}
		slices.SortFunc(rs, func(a, b Row) int {
			if a.Alone != b.Alone {
				if a.Alone {
					return 1
				}
				return -1
			}
			return a.Tier - b.Tier
		})
		gauge := rapid.IntRange(0, 3).Draw(rt, "gauge")
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			h.stalls = func() (Stalls, error) {
				asked++
				switch gauge {
				case 1:
					if asked > 3 {
						return Stalls{}, errBroken
					}
				case 2:
					return Stalls{Memory: time.Duration(100-asked) * time.Second}, nil
				case 3:
					return Stalls{}, errBroken
				}
				return Stalls{}, nil
			}
			h.mounted = make(chan struct{})
			for name, plan := range plans {
				h.start[name+".service"] = func(ctx context.Context, attempt int) (Outcome, error) {
					s := plan[min(attempt-1, len(plan)-1)]
					sleep(ctx, s.delay)
					if ctx.Err() != nil {
						return Outcome{}, ctx.Err()
					}
					switch s.kind {
					case 0, 1:
						return up, nil
					case 2:
						return failed, nil
					case 3:
						return needs(s.block...), nil
					case 4:
						return hangs(ctx, attempt)
					case 5:
						return Outcome{}, ErrOrderedAfterUs
					case 6:
						return Outcome{Job: "canceled", UnitState: UnitState{Active: "inactive"}}, nil
					case 7:
						if attempt < 4 {
							return Outcome{}, &NotMounted{[]string{"/m"}}
						}
						return Outcome{}, ErrMasked
					case 8:
						return Outcome{}, ErrUserStopped
					}
					return Outcome{}, errBroken
				}
			}
			if rapid.Bool().Draw(rt, "mount comes") {
				at := dur("mount at", 0, time.Second, 200*time.Second)
				time.AfterFunc(at, func() { close(h.mounted) })
			}
			ctx, stop := context.WithTimeout(t.Context(), cut)
			defer stop()
			began := time.Now()
			last := map[string]Row{}
			var mu sync.Mutex
			var disk []string
			onDisk := func() []string {
				mu.Lock()
				defer mu.Unlock()
				return disk
			}
			flight := newFlight(func(names []string) error {
				mu.Lock()
				defer mu.Unlock()
				disk = names
				return nil
			}, func(string) {})
			err := NewRun(rs, p, starter{h.service(p)}, flight, h, func(e Event) {
				if e.Row.Name == "" {
					return
				}
				last[e.Row.Name] = e.Row
				if e.Row.State == RowStarting && !slices.Contains(onDisk(), e.Row.Name) {
					rt.Errorf("%s is started and not on disk", e.Row.Name)
				}
			}).Do(ctx)
			if took := time.Since(began); took > p.Deadline+time.Second {
				rt.Errorf("took %s", took)
			}
			if err == nil {
				for _, r := range rs {
					if l, ok := last[r.Name]; r.State.Pending() && (!ok || l.State.Pending()) {
						rt.Errorf("%s is left %s", r.Name, l.State)
					}
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

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

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A retryPlay is a run that goes on after READY.
type retryPlay struct {
	t    *testing.T
	h    *recovertest.Host
	s    *lifeStarter
	p    recover.Policy
	rows string
	run  *Run

	mu     sync.Mutex
	began  time.Time
	starts map[string][]float64 // seconds, by container
	row    map[string]recover.Row
	disk   []string
	// stopped are the containers that the user has stopped, separated by spaces.
	stopped string
}

func newRetryPlay(t *testing.T, rows string) *retryPlay {
	h := recovertest.NewHost()
	return &retryPlay{t: t, h: h, s: newLifeStarter(h), p: recover.DefaultPolicy(), rows: rows,
		starts: map[string][]float64{}, row: map[string]recover.Row{}}
}

// play runs to READY, and then has meanwhile act until it returns.
func (p *retryPlay) play(starter Starter, change func([]recover.Row), meanwhile func()) {
	p.t.Helper()
	rows := recovertest.Rows(p.rows)
	if change != nil {
		change(rows)
	}
	p.began = time.Now()
	flight := NewFlight(func(names []string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.disk = names
		return nil
	}, func(string) {})
	p.run = New(rows, p.p, starter, flight, recovertest.Gauge{H: p.h}, func(e Event) {
		if e.Row.Name == "" {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.row[e.Row.Name] = e.Row
		if e.Kind == Starting {
			p.starts[e.Row.Name] = append(p.starts[e.Row.Name], time.Since(p.began).Seconds())
			if !slices.Contains(p.disk, e.Row.Name) {
				p.t.Errorf("%s is started, and not in flight", e.Row.Name)
			}
		}
	})
	if err := p.run.Do(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.run.Serve(ctx) }()
	synctest.Wait()
	meanwhile()
	stop()
	<-done
	if err := p.run.Ask(p.t.Context(), func() {}); !errors.Is(err, ErrOver) {
		p.t.Errorf("asked after the end: %v", err)
	}
}

// startsOf are the starts of a container after a moment.
func (p *retryPlay) startsOf(name string, after time.Duration) (at []float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.starts[name] {
		if s >= after.Seconds() {
			at = append(at, s)
		}
	}
	return at
}

func (p *retryPlay) state(name string) recover.Row {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.row[name]
}

func (p *retryPlay) ask(do func()) {
	if err := p.run.Ask(p.t.Context(), do); err != nil {
		p.t.Error(err)
	}
}

// see tells the run of a look at which these run, and these are members.
func (p *retryPlay) see(began time.Time, runs, members string, units map[string]recover.UnitState) {
	has := func(names string) func(recover.Row) bool {
		return func(row recover.Row) bool { return slices.Contains(strings.Fields(names), row.Name) }
	}
	stopped := strings.Fields(p.stopped)
	p.ask(func() {
		p.run.See(Sight{Began: began, Runs: has(runs), Member: has(members), Units: units,
			Allowed: func(name string) bool { return !slices.Contains(stopped, name) }})
	})
}

// A container that fails for ever is tried with back-off: at most once in half an hour in the
// end, and its row keeps few attempts.
func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rows []string
		for i := range 10 {
			rows = append(rows, fmt.Sprintf("c%d:%d", i, i%3))
		}
		p := newRetryPlay(t, strings.Join(rows, " "))
		for i := range 10 {
			p.h.Start[fmt.Sprintf("c%d.service", i)] = recovertest.Fails
		}
		p.play(p.s, nil, func() {
			time.Sleep(72 * time.Hour)
			for i := range 10 {
				name := fmt.Sprintf("c%d", i)
				at := p.startsOf(name, time.Minute/6+time.Second) // without the two of recovery
				for n := range 7 {
					least := recover.RetryPause(n, 0).Seconds()
					from := 10.0
					if n > 0 {
						from = at[n-1]
					}
					if pause := at[n] - from; pause < least-0.001 || pause > 1.1*least+1 {
						t.Errorf("%s: pause %d is %.1f s, want %.0f s and up to a tenth more", name, n, pause, least)
					}
				}
				day := len(p.startsOf(name, 48*time.Hour))
				if day > 48 || day < 43 {
					t.Errorf("%s: %d starts on the third day", name, day)
				}
				row := p.state(name)
				if len(row.Attempts) > 10 || row.Made() < 100 || row.State != recover.RowFailed {
					t.Errorf("%s keeps %d attempts of %d, and is %s", name, len(row.Attempts), row.Made(), row.State)
				}
			}
			if apart := p.startsOf("c0", 48*time.Hour)[0] - p.startsOf("c3", 48*time.Hour)[0]; apart == 0 {
				t.Error("containers of a tier are tried at the very same moments")
			}
		})
	})
}

// What a container lacked ends its back-off when it comes.
func TestRetryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "db:0 app:1 web:2 disk:2 bind:3 pulled:3")
		arrive := time.Now().Add(time.Hour)
		there := func(context.Context, int) (recover.Outcome, error) {
			if time.Now().Before(arrive) {
				return recovertest.Failed, nil
			}
			return recovertest.Up, nil
		}
		lacks := func(o recover.Outcome) recovertest.Behavior {
			return func(context.Context, int) (recover.Outcome, error) {
				if time.Now().Before(arrive) {
					return o, nil
				}
				return recovertest.Up, nil
			}
		}
		p.h.Start["db.service"] = there
		p.h.Start["app.service"] = lacks(needs("db.service"))
		p.h.Start["web.service"] = there // needs app, as somebody wrote down
		p.h.Start["disk.service"] = lacks(recover.Outcome{Job: "dependency", NotMounted: []string{"/m"},
			UnitState: recover.UnitState{Active: "inactive"}})
		p.h.Start["bind.service"], p.h.Start["pulled.service"] = there, there
		p.s.explain = func(_ context.Context, row recover.Row) recover.Explanation {
			return recover.Explanation{Cause: "x", Arrives: row.Name == "bind"}
		}
		p.h.Mounted = make(chan struct{})
		p.play(p.s, func(rows []recover.Row) {
			rows[2].Needs = []recover.Need{{Name: "app", Until: recover.UntilReady}}
		}, func() {
			time.Sleep(time.Hour)
			close(p.h.Mounted)
			synctest.Wait()
			for name, want := range map[string]int{"disk": 1, "bind": 1, "pulled": 0} {
				if got := len(p.startsOf(name, time.Hour)); got != want {
					t.Errorf("when the mount comes %s is started %d times, want %d", name, got, want)
				}
			}
			p.ask(func() { p.run.Hurry("pulled") })
			p.ask(func() { _, _ = p.run.Again("db") })
			time.Sleep(2 * time.Second)
			for _, name := range []string{"db", "app", "web", "pulled"} {
				if row := p.state(name); row.State != recover.RowUp || row.Retry.Tries < 2 {
					t.Errorf("%s is %s after %+v", name, row.State, row.Retry)
				}
			}
		})
	})
}

// Rows that are due at one moment start tier by tier; one that hangs gives way.
func TestRetriesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "hung:0 db:1 app:2 helper:2")
		var mended atomic.Bool
		start := func(takes time.Duration) recovertest.Behavior {
			return func(ctx context.Context, attempt int) (recover.Outcome, error) {
				if !mended.Load() {
					return recovertest.Failed, nil
				}
				return recovertest.UpAfter(takes)(ctx, attempt)
			}
		}
		p.h.Start["hung.service"], p.h.Start["db.service"] = start(100*time.Second), start(5*time.Second)
		p.h.Start["app.service"], p.h.Start["helper.service"] = start(0), start(0)
		p.play(p.s, func(rows []recover.Row) {
			rows[2].Needs = []recover.Need{{Name: "helper", Until: recover.UntilUp}}
		}, func() {
			time.Sleep(time.Hour)
			mended.Store(true)
			now := time.Since(p.began).Seconds()
			p.ask(func() { _, _ = p.run.Again("") })
			time.Sleep(5 * time.Minute)
			for name, want := range map[string]float64{"hung": 0, "db": 60, "app": 65, "helper": 65} {
				if at := p.startsOf(name, time.Hour); len(at) != 1 || at[0] != now+want {
					t.Errorf("%s is started at %v, want once at %v + %v s", name, at, now, want)
				}
			}
		})
	})
}

// What ends the tries of a container.
func TestRetryEnds(t *testing.T) {
	failed := map[string]recover.UnitState{"a.service": {Loaded: true, Active: "failed"}}
	inactive := map[string]recover.UnitState{"a.service": {Loaded: true, Active: "inactive"}}
	for name, c := range map[string]struct {
		prepare func(p *retryPlay)
		act     func(p *retryPlay)
		state   recover.RowState
		ended   string
		more    bool
	}{
		"nothing does": {state: recover.RowFailed, more: true},
		"something else has started it": {act: func(p *retryPlay) { p.see(time.Now(), "a", "a", failed) },
			state: recover.RowActive},
		"so it did before it failed": {act: func(p *retryPlay) { p.see(p.began, "a", "a", failed) },
			state: recover.RowFailed, more: true},
		"it is no member of the set any more": {act: func(p *retryPlay) { p.see(time.Now(), "", "", failed) },
			state: recover.RowUserStopped},
		"its failure was reset": {act: func(p *retryPlay) {
			p.see(time.Now(), "", "a", failed)
			p.see(time.Now(), "", "a", inactive)
		}, state: recover.RowFailed, ended: "systemctl reset-failed"},
		"it was never seen to be failed": {act: func(p *retryPlay) { p.see(time.Now(), "", "a", inactive) },
			state: recover.RowFailed, more: true},
		"it is masked": {act: func(p *retryPlay) { p.says(recover.ErrMasked) }, state: recover.RowSkipped},
		"it is on the list": {act: func(p *retryPlay) { p.says(recover.ErrUserStopped) },
			state: recover.RowUserStopped},
		"it was removed": {act: func(p *retryPlay) { p.says(&RetryOver{Why: "it was removed", Stopped: true}) },
			state: recover.RowUserStopped},
		"podman does not know it": {act: func(p *retryPlay) { p.says(recover.ErrNoContainer) },
			state: recover.RowFailed, ended: "podman does not know it"},
		"its unit was disabled": {act: func(p *retryPlay) { p.says(&RetryOver{Why: "it was disabled"}) },
			state: recover.RowFailed, ended: "it was disabled"},
		"systemd is about to start it": {act: func(p *retryPlay) { p.says(recover.ErrReturning) },
			state: recover.RowFailed, more: true},
		"somebody stops another one": {act: func(p *retryPlay) { p.says(recover.ErrConflict) },
			state: recover.RowFailed, more: true},
		"it runs": {act: func(p *retryPlay) { p.says(recover.ErrRuns) }, state: recover.RowActive},
		"somebody stops it during the try": {act: func(p *retryPlay) {
			p.h.Set(func() {
				p.h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
					return recover.Outcome{Job: "canceled", UnitState: recover.UnitState{Active: "inactive"}}, nil
				}
			})
		}, state: recover.RowUserStopped},
		"it ends with exit code 0 at once": {act: func(p *retryPlay) {
			p.h.Set(func() {
				p.h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) { return recovertest.Begun, nil }
			})
		}, state: recover.RowFailed, ended: "exit code 0"},
		"it falls with exit code 0": {prepare: func(p *retryPlay) {
			p.h.Start["a.service"] = recovertest.WorksAt(2)
			p.s.then("a", nil, []moment{ended(3, 0)})
		}, state: recover.RowFell, ended: "exit code 0"},
		"it falls again and again": {prepare: func(p *retryPlay) {
			p.h.Start["a.service"] = nil
			p.s.then("a", []moment{ended(3, 1)})
		}, state: recover.RowFell, more: true},
		"it fell, and something else has started it": {prepare: func(p *retryPlay) {
			p.h.Start["a.service"] = nil
			p.s.then("a", []moment{ended(3, 1)})
		}, act: func(p *retryPlay) { p.see(time.Now(), "a", "a", nil) }, state: recover.RowActive},
		"it fell, and is no member of the set any more": {prepare: func(p *retryPlay) {
			p.h.Start["a.service"] = nil
			p.s.then("a", []moment{ended(3, 1)})
		}, act: func(p *retryPlay) { p.see(time.Now(), "", "", nil) }, state: recover.RowUserStopped},
		"the configuration says no": {prepare: func(p *retryPlay) { p.p.RetryAfterReady = false },
			state: recover.RowFailed},
		"it is a job": {prepare: func(p *retryPlay) { p.rows = "job:0" }, act: func(p *retryPlay) {},
			state: ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRetryPlay(t, "a:0")
				p.h.Start["a.service"], p.h.Start["job.service"] = recovertest.Fails, recovertest.Fails
				if c.prepare != nil {
					c.prepare(p)
				}
				p.play(p.s, func(rows []recover.Row) { rows[0].Job = rows[0].Name == "job" }, func() {
					time.Sleep(40 * time.Second)
					if c.act != nil {
						c.act(p)
					}
					time.Sleep(20 * time.Minute)
					from := 24 * time.Minute
					time.Sleep(24 * time.Hour)
					row := p.state("a")
					if row.State != c.state || c.ended != "" && !strings.Contains(row.Retry.Ended, c.ended) {
						t.Errorf("it is %s: %+v %s", row.State, row.Retry, row.Error)
					}
					if more := len(p.startsOf("a", from)) + len(p.startsOf("job", from)); (more > 0) != c.more {
						t.Errorf("started %d times after that", more)
					}
					if row.Retry != nil && !c.more && !row.Retry.Next.IsZero() {
						t.Errorf("the next try is at %s", row.Retry.Next)
					}
					p.mu.Lock()
					defer p.mu.Unlock()
					if !c.more && len(p.disk) > 0 {
						t.Errorf("in flight for good: %q", p.disk)
					}
				})
			})
		})
	}
}

// says has each further start be refused.
func (p *retryPlay) says(err error) {
	p.h.Set(func() {
		p.h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) { return recover.Outcome{}, err }
	})
}

// A hold keeps all that would start by itself; the operator's word goes through it.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "a:0 b:0 net:0 disk:0")
		p.h.Start["a.service"], p.h.Start["b.service"] = recovertest.Fails, recovertest.WorksAt(3)
		p.h.Start["disk.service"] = func(context.Context, int) (recover.Outcome, error) {
			select {
			case <-p.h.Mounted:
				return recovertest.Up, nil
			default:
				return recover.Outcome{}, &NotMounted{Points: []string{"/m"}}
			}
		}
		p.h.Mounted = make(chan struct{})
		s := newNetworkStarter(p.h, 30*time.Minute)
		s.needs["net"] = true
		p.play(s, nil, func() { // READY is at the deadline of 15 min
			p.ask(func() { p.run.Hold(time.Now().Add(time.Hour)) })
			time.Sleep(30 * time.Minute)
			close(p.h.Mounted)
			time.Sleep(29 * time.Minute)
			for _, name := range []string{"a", "b", "net", "disk"} {
				if at := p.startsOf(name, 15*time.Minute+time.Second); len(at) > 0 {
					t.Errorf("%s is started at %v", name, at)
				}
			}
			p.ask(func() {
				if names, err := p.run.Again("b"); err != nil || !slices.Equal(names, []string{"b"}) {
					t.Errorf("%q, %v", names, err)
				}
			})
			time.Sleep(time.Second)
			if row := p.state("b"); row.State != recover.RowUp {
				t.Errorf("by hand b is %s", row.State)
			}
			time.Sleep(time.Minute)
			if len(p.startsOf("a", 75*time.Minute)) != 1 || p.state("net").State != recover.RowUp ||
				p.state("disk").State != recover.RowUp {
				t.Errorf("after the hold: %+v", p.row)
			}
			p.ask(func() { p.run.Hold(time.Now().Add(time.Hour)) })
			time.Sleep(10 * time.Minute)
			p.ask(func() { p.run.Hold(time.Time{}) })
			time.Sleep(time.Second)
			if len(p.startsOf("a", 76*time.Minute)) != 1 {
				t.Errorf("the end of the hold by hand changes nothing: %v", p.startsOf("a", 0))
			}
		})
	})
}

// What can be tried again by hand.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "up:0 bad:0 reset:0 job:0")
		p.p.RetryAfterReady = false
		p.h.Start["bad.service"], p.h.Start["job.service"] = recovertest.WorksAt(4), recovertest.Fails
		p.h.Start["reset.service"] = recovertest.Fails
		p.play(p.s, func(rows []recover.Row) {
			rows[3].Job = true
		}, func() {
			time.Sleep(time.Hour)
			again := func(name, want, wantErr string) {
				t.Helper()
				p.ask(func() {
					names, err := p.run.Again(name)
					if strings.Join(names, " ") != want || (err != nil) != (wantErr != "") ||
						err != nil && !strings.Contains(err.Error(), wantErr) {
						t.Errorf("again %q: %q, %v", name, names, err)
					}
				})
				time.Sleep(time.Minute)
			}
			again("nobody", "", "no container of this recovery")
			again("up", "", "up is up")
			again("", "bad reset", "")
			again("job", "job", "")
			if n := len(p.startsOf("bad", time.Hour)); n != 1 {
				t.Errorf("RetryAfterReady=no, and it is started %d times", n)
			}
			again("bad", "bad", "")
			if row := p.state("bad"); row.State != recover.RowUp || row.Retry.Tries != 2 {
				t.Errorf("bad is %s after %+v", row.State, row.Retry)
			}
		})
	})
}

// A suspect has its turn alone, when nothing else is in flight.
func TestRetryOfSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "a:0 z:0")
		p.h.Start["a.service"], p.h.Start["z.service"] = recovertest.WorksAt(3), recovertest.WorksAt(3)
		p.play(p.s, func(rows []recover.Row) { rows[1].Alone, rows[1].Group = true, 1 }, func() {
			time.Sleep(time.Hour)
			p.ask(func() { _, _ = p.run.Again("") })
			time.Sleep(time.Hour)
			a, z := p.startsOf("a", 0), p.startsOf("z", 0)
			if len(a) != 3 || len(z) != 3 || z[2]-a[2] < p.p.Soak.Seconds() && z[2]-a[2] > -p.p.Soak.Seconds() {
				t.Errorf("a at %v, z at %v", a, z)
			}
		})
	})
}

// A container that waits for the network, or for a mount, is seen to run or is stopped.
func TestWaitAfterReadyEnds(t *testing.T) {
	for _, what := range []string{"runs", "stopped"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRetryPlay(t, "net:0 disk:0")
				p.h.Mounted = make(chan struct{})
				p.h.Start["disk.service"] = func(context.Context, int) (recover.Outcome, error) {
					return recover.Outcome{}, &NotMounted{Points: []string{"/m"}}
				}
				s := newNetworkStarter(p.h, 0)
				s.needs["net"] = true
				p.play(s, nil, func() {
					time.Sleep(time.Minute)
					if row := p.state("disk"); row.State != recover.RowWaiting || !row.BeingRetried() || row.Retry.Tries != 0 {
						t.Errorf("it does not wait: %s %+v", row.State, row.Retry)
					}
					want := recover.RowActive
					if what == "runs" {
						p.see(time.Now(), "net disk", "net disk", nil)
					} else {
						p.see(time.Now(), "", "", nil)
						want = recover.RowUserStopped
					}
					close(p.h.Mounted)
					time.Sleep(time.Hour)
					for _, name := range []string{"net", "disk"} {
						if row := p.state(name); row.State != want || len(p.startsOf(name, 16*time.Minute)) > 0 {
							t.Errorf("%s is %s", name, row.State)
						}
					}
				})
			})
		})
	}
}

// A hold puts off what has yet to have its turn.
func TestHoldPutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "a:0 z:0")
		p.h.Start["a.service"] = recovertest.WorksAt(3)
		p.s.then("z", []moment{ended(3, 1)}, []moment{ended(3, 1)}, nil)
		p.play(p.s, func(rows []recover.Row) { rows[1].Alone, rows[1].Group = true, 1 }, func() {
			time.Sleep(28 * time.Second)
			p.ask(func() { _, _ = p.run.Again("a") })
			time.Sleep(9 * time.Second) // z waits for the end of its soak
			p.ask(func() { p.run.Hold(time.Now().Add(time.Hour)) })
			before := len(p.startsOf("z", 0))
			time.Sleep(59 * time.Minute)
			if row := p.state("z"); row.State != recover.RowFell || len(p.startsOf("z", 0)) != before {
				t.Errorf("z is %s, started at %v", row.State, p.startsOf("z", 0))
			}
			time.Sleep(10 * time.Minute)
			if row := p.state("z"); row.State != recover.RowUp {
				t.Errorf("z is %s, started at %v", row.State, p.startsOf("z", 0))
			}
		})
	})
}

// While nothing is down, no timer of the run is left, so it wakes up for nothing.
func TestNothingDownNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "a:0 b:1")
		p.h.Start["a.service"] = recovertest.WorksAt(3)
		p.play(p.s, nil, func() {
			time.Sleep(24 * time.Hour)
			p.ask(func() {
				if p.run.deadline.Stop() || p.run.offline.late.Stop() {
					t.Error("a timer of recovery still runs")
				}
				if next, _ := p.run.retries.start(t.Context(), p.run); !next.IsZero() {
					t.Errorf("something is planned at %s", next)
				}
			})
		})
	})
}

// Chance lengthens pauses, and does not turn the order of tiers round.
func TestChanceKeepsOrder(t *testing.T) {
	turned := 0
	for seed := range 40 {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Duration(seed)) // the seed of the run
			p := newRetryPlay(t, "db:1 app:2")
			p.h.Start["db.service"], p.h.Start["app.service"] = recovertest.Fails, recovertest.Fails
			p.play(p.s, nil, func() {
				time.Sleep(50 * time.Second)
				db, app := p.startsOf("db", 15*time.Second), p.startsOf("app", 15*time.Second)
				if len(db) != 1 || len(app) != 1 || app[0] < db[0] {
					t.Errorf("db at %v, app at %v", db, app)
				}
				if app[0] == db[0] {
					turned++
				}
			})
		})
	}
	if turned == 0 || turned == 40 {
		t.Errorf("in %d of 40 runs chance would have turned the order round", turned)
	}
}

// A mount for which a row waited until READY, and which comes during one of its tries, is no
// reason to start it a second time.
func TestMountComesDuringTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "disk:0")
		p.h.Mounted = make(chan struct{})
		p.h.Start["disk.service"] = func(ctx context.Context, attempt int) (recover.Outcome, error) {
			if attempt < 3 {
				return recover.Outcome{Job: "dependency", NotMounted: []string{"/m"},
					UnitState: recover.UnitState{Active: "inactive"}}, nil
			}
			return recovertest.UpAfter(time.Minute)(ctx, attempt)
		}
		p.play(p.s, nil, func() {
			time.Sleep(2 * time.Minute) // its second try is under way
			close(p.h.Mounted)
			time.Sleep(time.Hour)
			if row := p.state("disk"); row.State != recover.RowUp || len(p.startsOf("disk", 0)) != 3 {
				t.Errorf("it is %s, started at %v", row.State, p.startsOf("disk", 0))
			}
		})
	})
}

package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"
)

// serving runs a service in a bubble, from READY on.
func serving(t *testing.T, h *recovertest.Host, do func(s *Service)) {
	t.Helper()
	servingWith(t, h, recover.DefaultPolicy(), do)
}

// servingWith is serving with a policy.
func servingWith(t *testing.T, h *recovertest.Host, p recover.Policy, do func(s *Service)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	h.Set(func() { h.WatchErr = nil })
	world := worldOf(h)
	world.StorageUnits = recovertest.Storage{H: h}
	s := New(world, p, recovertest.Here)
	go func() { done <- s.Run(ctx) }()
	untilReady(s)
	synctest.Wait()
	do(s)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	synctest.Wait() // the end of its watch is told beside it
}

// tried is how often a unit was started after READY.
func tried(h *recovertest.Host, unit string) (n int) {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	for _, line := range h.History {
		if line == "start again "+unit {
			n++
		}
	}
	return n
}

// resetsOf is how often the failure of a unit was reset.
func resetsOf(h *recovertest.Host, unit string) (n int) {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	for _, line := range h.History {
		if line == "reset "+unit {
			n++
		}
	}
	return n
}

// What failed is tried again after READY. Its start limit is not reset, and the report is
// amended.
func TestTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
		h.Marker = recovertest.Crashed
		h.Start["a.service"] = recovertest.WorksAt(4)
		serving(t, h, func(s *Service) {
			if status, _ := s.Status(); !strings.Contains(status.Recovery.Summary(), "1 not recovered") {
				t.Errorf("at READY: %s", status.Recovery.Summary())
			}
			resets := resetsOf(h, "a.service")
			time.Sleep(2 * time.Minute)
			row := rowOf(s, "a")
			if row.State != recover.RowUp || tried(h, "a.service") != 2 || row.Retry.Tries != 2 || len(row.Attempts) != 4 {
				t.Errorf("a is %s after %d tries, %+v", row.State, tried(h, "a.service"), row.Retry)
			}
			if now := resetsOf(h, "a.service"); now != resets {
				t.Errorf("reset %d times, %d of them before READY", now, resets)
			}
			h.Mu.Lock()
			if !strings.HasPrefix(h.Status, "complete: 2 containers run") {
				t.Errorf("STATUS=%s", h.Status)
			}
			h.Mu.Unlock()
			time.Sleep(10 * time.Minute)
			if reports, _ := s.Reports(); reports[0].Rows[0].State != recover.RowUp {
				t.Errorf("on disk it is %s", reports[0].Rows[0].State)
			}
		})
	})
}

// Before a try, what speaks against it is asked.
func TestRetryVetoes(t *testing.T) {
	enabled := false
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host, row *recover.Row)
		want    error
		over    string
		starts  int
	}{
		"nothing": {starts: 1},
		"it runs": {prepare: func(h *recovertest.Host, _ *recover.Row) { h.Plain("a", recover.StateRunning) },
			want: recover.ErrRuns},
		"its unit is active": {prepare: func(h *recovertest.Host, _ *recover.Row) {
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "active"}
		}, want: recover.ErrRuns},
		"its unit is being started, and is not ready": {prepare: func(h *recovertest.Host, _ *recover.Row) {
			h.Plain("a", recover.StateRunning)
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "activating", Sub: "start"}
		}, want: recover.ErrReturning},
		"systemd is about to start it": {prepare: func(h *recovertest.Host, _ *recover.Row) {
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "activating", Sub: "auto-restart"}
		}, want: recover.ErrReturning},
		"its failure was reset": {prepare: func(_ *recovertest.Host, row *recover.Row) { row.Retry.SeenFailed = true },
			over: "reset-failed"},
		"its failure was reset, and it is tried by hand": {prepare: func(_ *recovertest.Host, row *recover.Row) {
			row.Retry.SeenFailed, row.Retry.ByHand = true, true
		}, starts: 1},
		"its unit was disabled": {prepare: func(*recovertest.Host, *recover.Row) { enabled = true }, over: "disable"},
		"it is on the user-stopped list": {prepare: func(h *recovertest.Host, _ *recover.Row) {
			h.UserStopped = []string{"a"}
		},
			want: recover.ErrUserStopped},
		"something stops it": {prepare: func(h *recovertest.Host, _ *recover.Row) {
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "failed", Job: "stop"}
		}},
		"it was removed": {prepare: func(h *recovertest.Host, row *recover.Row) {
			row.Unit, row.Generated = "container-a.service", true
		}, over: "removed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enabled = false
				h := recovertest.NewHost().Quadlet("a")
				row := recover.Row{Name: "a", Unit: "a.service", Retry: &recover.Retry{Tries: 1},
					Attempts: []recover.Attempt{{}, {}, {}}}
				s := starterOn(h, recover.DefaultPolicy())
				if c.prepare != nil {
					c.prepare(h, &row)
				}
				s.world.Autostart = switchedOn{&enabled}
				failed := row
				failed.Attempts = row.Attempts[:1]
				s.learnEnabled(t.Context(), failed)
				enabled = false
				_, err := s.Start(t.Context(), row)
				var over *engine.RetryOver
				switch {
				case c.over != "" && (!errors.As(err, &over) || !strings.Contains(over.Why, c.over)),
					c.over == "" && !errors.Is(err, c.want):
					t.Errorf("%v", err)
				}
				if n := tried(h, row.Unit); n != c.starts {
					t.Errorf("started %d times", n)
				}
			})
		})
	}
}

// switchedOn is an Autostart that says whether a unit is enabled.
type switchedOn struct{ enabled *bool }

func (s switchedOn) Enabled(context.Context, string) (bool, error) { return *s.enabled, nil }
func (s switchedOn) StartedByTargets(context.Context, []string) ([]string, error) {
	return nil, nil
}
func (s switchedOn) RestartsAtBoot(context.Context, string) (bool, error) { return false, nil }

// A look at the host tells of what ends the tries.
func TestLookEndsTries(t *testing.T) {
	for name, c := range map[string]struct {
		act   func(h *recovertest.Host)
		state recover.RowState
		ended string
	}{
		"a monitor starts it": {func(h *recovertest.Host) {
			h.Plain("a", recover.StateRunning)
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "active"}
		}, recover.RowActive, ""},
		"its unit is being started, and is not ready": {func(h *recovertest.Host) {
			h.Plain("a", recover.StateRunning)
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "activating", Sub: "start"}
		}, recover.RowFailed, ""},
		"the user's list":     {func(h *recovertest.Host) { h.UserStopped = []string{"a"} }, recover.RowUserStopped, ""},
		"its unit is removed": {func(h *recovertest.Host) { delete(h.States, "a.service") }, recover.RowUserStopped, ""},
		"its failure is reset": {func(h *recovertest.Host) {
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
		}, recover.RowFailed, "reset-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
				h.Marker = recovertest.Crashed
				h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
					h.Set(func() { h.States["a.service"] = recovertest.Failed.UnitState })
					return recovertest.Failed, nil
				}
				serving(t, h, func(s *Service) {
					look := func() {
						h.Changes <- struct{}{}
						time.Sleep(time.Second)
						synctest.Wait()
					}
					look()
					h.Set(func() { c.act(h) })
					look()
					row := rowOf(s, "a")
					if row.State != c.state || c.ended != "" && !strings.Contains(row.Retry.Ended, c.ended) {
						t.Errorf("it is %s, %+v", row.State, row.Retry)
					}
					time.Sleep(24 * time.Hour)
					if n := tried(h, "a.service"); n > 0 {
						t.Errorf("started %d times", n)
					}
				})
			})
		})
	}
}

// A daemon that is started again goes on: with the number of tries that each container had,
// without those that somebody has ended, and in the report of this boot. A hold goes on, too.
func TestTriesGoOnAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Ran("a", "b", "c")
		h.Marker = recovertest.Crashed
		var works atomic.Bool
		for _, unit := range []string{"a.service", "c.service"} {
			h.Start[unit] = func(context.Context, int) (recover.Outcome, error) {
				if works.Load() {
					return recovertest.Up, nil
				}
				h.Set(func() { h.States[unit] = recovertest.Failed.UnitState })
				return recovertest.Failed, nil
			}
		}
		serving(t, h, func(s *Service) {
			time.Sleep(2 * time.Minute)
			h.Changes <- struct{}{}
			time.Sleep(time.Second)
			h.Set(func() { h.States["c.service"] = recover.UnitState{Loaded: true, Active: "inactive"} }) // reset-failed
			h.Changes <- struct{}{}
			time.Sleep(time.Second)
			s.Hold(t.Context(), time.Hour)
		})
		before := tried(h, "a.service")
		works.Store(true)
		serving(t, h, func(s *Service) {
			status, _ := s.Status()
			row := rowOf(s, "a")
			if before < 2 || row.State != recover.RowFailed || row.Retry.Tries != before || len(status.Recovery.Rows) != 2 {
				t.Errorf("a is %s, %+v after %d tries; rows %+v", row.State, row.Retry, before, status.Recovery.Rows)
			}
			time.Sleep(50 * time.Minute)
			if n := tried(h, "a.service"); n != before {
				t.Errorf("started %d times in a hold", n-before)
			}
			time.Sleep(20 * time.Minute)
			if row := rowOf(s, "a"); row.State != recover.RowUp || tried(h, "c.service") > 2 {
				t.Errorf("a is %s, %+v; c was tried %d times", row.State, row.Retry, tried(h, "c.service"))
			}
			time.Sleep(10 * time.Minute)
			reports, _ := s.Reports()
			if len(reports) != 1 || states(reports[0])["a"] != recover.RowUp || states(reports[0])["b"] != recover.RowUp {
				t.Errorf("on disk are %d reports, with %v", len(reports), states(reports[0]))
			}
		})
	})
}

// What is tried by hand, and what is refused.
func TestRetryByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quarantined(t)
		h.Quadlet("a").Quadlet("listed").Ran("a", "b", "listed")
		h.UserStopped = []string{"b", "listed"}
		h.Start["a.service"] = recovertest.WorksAt(3)
		serving(t, h, func(s *Service) {
			for name, want := range map[string]error{"b": ErrCannotRetry, "listed": ErrCannotRetry, "no": ErrNotInRecovery} {
				if names, err := s.Retry(t.Context(), name); !errors.Is(err, want) {
					t.Errorf("%s: %v, %v", name, names, err)
				}
			}
			if _, err := s.Retry(t.Context(), "a/b"); err == nil {
				t.Error("a name that is none is taken")
			}
			if names, err := s.Retry(t.Context(), ""); err != nil || !slices.Equal(names, []string{"a"}) {
				t.Errorf("%v, %v", names, err)
			}
			time.Sleep(time.Second)
			if row := rowOf(s, "a"); row.State != recover.RowUp {
				t.Errorf("a is %s", row.State)
			}
			if _, err := s.Retry(t.Context(), "a"); !errors.Is(err, ErrCannotRetry) {
				t.Errorf("a runs: %v", err)
			}
		})
	})
}

// A hold keeps a parole, too.
func TestHoldKeepsParole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := quarantined(t)
		h.Quarantine[0].Case = "b0"
		serving(t, h, func(s *Service) {
			s.Hold(t.Context(), time.Hour)
			time.Sleep(59 * time.Minute)
			h.Mu.Lock()
			if slices.Contains(started(h.History), "b") {
				t.Error("it is started in a hold")
			}
			h.Mu.Unlock()
			time.Sleep(2 * time.Minute)
			h.Mu.Lock()
			if !slices.Contains(started(h.History), "b") {
				t.Error("it is not started after the hold")
			}
			h.Mu.Unlock()
		})
	})
}

// An image that has come is found when the unit runs that watches for images, and at the timer's
// tick where there is none.
func TestImageComes(t *testing.T) {
	for name, root := range map[string]string{"told by the unit": "/c", "seen at the tick": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost().Quadlet("a").Ran("a")
				h.Snapshot.Containers[0].Image = "localhost/a:1"
				h.Marker, h.GraphRoot, h.ImagesCame = recovertest.Crashed, root, make(chan struct{})
				h.NoImages = []string{"localhost/a:1"}
				h.Written = imageMissing("a")
				h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
					h.Mu.Lock()
					defer h.Mu.Unlock()
					if len(h.NoImages) > 0 {
						return recovertest.Failed, nil
					}
					return recovertest.Up, nil
				}
				serving(t, h, func(s *Service) {
					time.Sleep(6 * time.Hour)
					tell := func() {
						if root != "" {
							select {
							case h.ImagesCame <- struct{}{}:
							case <-time.After(time.Second):
								t.Error("nothing waits for images")
							}
						} else if _, err := s.TakeSnapshot(t.Context()); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Second)
					}
					before := tried(h, "a.service")
					tell()
					h.Set(func() { h.NoImages = nil })
					tell()
					if row := rowOf(s, "a"); row.State != recover.RowUp || tried(h, "a.service") > before+1 {
						t.Errorf("a is %s, %+v: %+v", row.State, row.Retry, row.LastAttempt())
					}
				})
			})
		})
	}
}

// imageMissing is what podman writes of a container whose image is not there.
func imageMissing(name string) map[string][]diagnosis.Line {
	return map[string][]diagnosis.Line{name: {{Comm: "podman", Transport: "stdout",
		Message: "Error: localhost/" + name + ":1: image not known"}}}
}

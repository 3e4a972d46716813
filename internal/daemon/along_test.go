package daemon

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// stoppedDB is a host after a crash on which db is on the user-stopped list: app needs it by
// its unit, plain by podman, web only wants it, and chain needs app.
func stoppedDB() *recovertest.Host {
	h := recovertest.NewHost().Quadlet("db").Quadlet("app").Quadlet("web").Quadlet("chain").
		Plain("plain", "exited").Plain("pdb", "exited").Ran("app", "chain", "plain", "web")
	h.Marker, h.UserStopped = recovertest.Crashed, []string{"db", "pdb"}
	h.Pulls = map[string][]string{"app.service": {"db.service"}, "chain.service": {"app.service", "db.service"}}
	h.Wants = map[string][]string{"web.service": {"db.service"}}
	h.Dependencies = map[string][]string{"plain": {"pdb"}}
	return h
}

// A container that the user stopped is not started along with another one. What needs it
// stays in the set, is no failure, and starts when the user allows it again.
func TestStoppedIsNotStartedAlong(t *testing.T) {
	h := stoppedDB()
	history, report, err := live(t, h, recover.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]recover.RowState{"app": recover.RowNeedsStopped, "chain": recover.RowNeedsStopped,
		"plain": recover.RowNeedsStopped, "web": recover.RowUp}
	if diff := cmp.Diff(want, states(report)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := started(history); !slices.Equal(got, []string{"web.service without db"}) {
		t.Errorf("started %q", got)
	}
	if report.Failed() {
		t.Errorf("it says %q", report.Summary())
	}
	all := []string{"app", "chain", "plain", "web"}
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, all) {
		t.Errorf("the set is %q", got)
	}

	h.Marker, h.UserStopped, h.History = recovertest.Crashed, nil, nil
	delete(h.Sightings, "web")
	h.States["web.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
	_, report, err = live(t, h, recover.DefaultPolicy())
	for name, state := range states(report) {
		if state != recover.RowUp {
			t.Errorf("%v; %s is %s after the list was emptied", err, name, state)
		}
	}
}

// The list counts as it is when a start begins, also where the plan did not know it.
func TestListChangesDuringRecovery(t *testing.T) {
	for name, c := range map[string]struct {
		list    []string // after the start of first
		want    recover.RowState
		started string
		stopped []string
	}{
		"another one is stopped that it needs": {[]string{"db"}, recover.RowNeedsStopped, "", []string{"db"}},
		"another one is stopped that it wants": {[]string{"cache"}, recover.RowUp, "app.service without cache",
			[]string{"cache"}},
		"one is stopped that does not matter": {[]string{"other"}, recover.RowUp, "app", nil},
		"nothing changes":                     {nil, recover.RowUp, "app", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("first").Quadlet("app").Quadlet("db").Quadlet("cache").Quadlet("other").
				Ran("app", "first")
			h.Marker = recovertest.Crashed
			h.Pulls = map[string][]string{"app.service": {"db.service"}}
			h.Wants = map[string][]string{"app.service": {"cache.service"}}
			p := recover.DefaultPolicy()
			p.Tiers = map[int]recover.Patterns{0: {"first"}}
			h.Start["first.service"] = func(context.Context, int) (recover.Outcome, error) {
				h.Set(func() { h.UserStopped = c.list })
				return recovertest.Up, nil
			}
			history, report, err := live(t, h, p)
			if err != nil {
				t.Fatal(err)
			}
			var row recover.Row
			for _, r := range report.Rows {
				if r.Name == "app" {
					row = r
				}
			}
			if row.State != c.want || !slices.Equal(row.Stopped, c.stopped) {
				t.Errorf("it is %s, %q, %q", row.State, row.Error, row.Stopped)
			}
			got := started(history)
			if c.started == "" && len(got) > 1 || c.started != "" && (len(got) < 2 || got[1] != c.started) {
				t.Errorf("started %q", got)
			}
		})
	}
}

// The start of what needs a container would undo a stop of that one which is under way.
func TestStopUnderWayIsNotUndone(t *testing.T) {
	h := recovertest.NewHost().Quadlet("db").Quadlet("app").Ran("app", "db")
	h.Marker = recovertest.Crashed
	h.States["db.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
	h.Pulls = map[string][]string{"app.service": {"db.service"}}
	history, report, err := live(t, h, recover.DefaultPolicy())
	want := map[string]recover.RowState{"app": recover.RowNeedsStopped, "db": recover.RowUserStopped}
	if diff := cmp.Diff(want, states(report)); err != nil || diff != "" || len(started(history)) > 0 {
		t.Errorf("%v, started %q (-want +got):\n%s", err, started(history), diff)
	}
}

// look has a look made, and what follows from it.
func look(s *Service) {
	s.keeper.lookSoon()
	time.Sleep(time.Second)
	synctest.Wait()
}

// What needs a container that the user stopped starts when the user allows that one again: by the
// API at once, by another program at the next look. What was stopped without the list stays down
// until that runs again. A daemon that is started again in order goes on with it.
func TestAllowedIsStarted(t *testing.T) {
	for name, retry := range map[string]bool{"retries": true, "no retries": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := stoppedDB().Quadlet("mq").Quadlet("late")
				h.Ran("app", "chain", "late", "mq", "plain", "web")
				h.States["mq.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
				h.Pulls["late.service"] = []string{"mq.service"}
				p := recover.DefaultPolicy()
				p.RetryAfterReady = retry
				want := func(s *Service, want map[string]recover.RowState) {
					t.Helper()
					for name, state := range want {
						if row := rowOf(s, name); row.State != state {
							t.Errorf("%s is %s: %s", name, row.State, row.Error)
						}
					}
				}
				servingWith(t, h, p, func(s *Service) {
					h.Set(func() { h.States["mq.service"] = recover.UnitState{Loaded: true, Active: "inactive"} })
					look(s)
					want(s, map[string]recover.RowState{"app": recover.RowNeedsStopped, "chain": recover.RowNeedsStopped,
						"plain": recover.RowNeedsStopped, "late": recover.RowNeedsStopped, "web": recover.RowUp})
					if _, err := s.Retry(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "user-stopped remove db") {
						t.Errorf("tried by hand: %v", err)
					}
				})
				servingWith(t, h, p, func(s *Service) {
					want(s, map[string]recover.RowState{"app": recover.RowNeedsStopped, "plain": recover.RowNeedsStopped})
					if changed, err := s.SetUserStopped("db", false); err != nil || !changed {
						t.Errorf("%v, %v", changed, err)
					}
					time.Sleep(time.Second)
					synctest.Wait()
					want(s, map[string]recover.RowState{"app": recover.RowUp, "chain": recover.RowUp,
						"plain": recover.RowNeedsStopped})
					h.Set(func() { h.UserStopped = nil })
					if _, err := s.TakeSnapshot(t.Context()); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Second)
					synctest.Wait()
					want(s, map[string]recover.RowState{"plain": recover.RowUp})
					if got := s.board.currentSet(); !slices.Equal(recovertest.Names(got.Containers), []string{"app", "chain",
						"late", "plain", "web"}) {
						t.Errorf("the set is %q", recovertest.Names(got.Containers))
					}
				})
			})
		})
	}
}

// A container that was stopped while recovery began, and not by the list, does not come back for
// what needs it. When somebody starts it, that follows.
func TestStoppedWithoutListComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("db").Quadlet("app").Ran("app", "db")
		h.Marker = recovertest.Crashed
		h.States["db.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
		h.Pulls = map[string][]string{"app.service": {"db.service"}}
		serving(t, h, func(s *Service) {
			h.Set(func() { h.States["db.service"] = recover.UnitState{Loaded: true, Active: "inactive"} })
			look(s)
			time.Sleep(time.Hour)
			look(s)
			if row := rowOf(s, "app"); row.State != recover.RowNeedsStopped || tried(h, "app.service") > 0 {
				t.Errorf("app is %s", row.State)
			}
			h.Set(func() {
				h.Plain("db", recover.StateRunning)
				h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
			})
			look(s)
			if row := rowOf(s, "app"); row.State != recover.RowUp {
				t.Errorf("app is %s, though db runs", row.State)
			}
		})
	})
}

// What the user stops again before a start, such as in a hold, is not started along: the list
// counts as it is then, also if it is the one that the plan knew.
func TestStoppedAgainIsNotStartedAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := stoppedDB()
		h.UserStopped = []string{"db", "pdb"}
		serving(t, h, func(s *Service) {
			s.Hold(t.Context(), time.Hour)
			if _, err := s.SetUserStopped("db", false); err != nil {
				t.Error(err)
			}
			time.Sleep(30 * time.Minute)
			if row := rowOf(s, "app"); row.State != recover.RowNeedsStopped || row.Retry == nil || tried(h, "app.service") > 0 {
				t.Errorf("in the hold app is %s, %+v", row.State, row.Retry)
			}
			h.Set(func() { h.UserStopped = []string{"db", "pdb"} }) // by another program: no look follows
			time.Sleep(time.Hour)
			synctest.Wait()
			if row := rowOf(s, "app"); row.State != recover.RowNeedsStopped || tried(h, "app.service") > 0 {
				t.Errorf("app is %s, and was started %d times", row.State, tried(h, "app.service"))
			}
		})
	})
}

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
)

// nextRun runs another daemon on h, in a boot, until nothing moves any more, and returns
// what it starts. It is stopped in order.
func nextRun(
	t *testing.T, h *recovertest.Host, p recover.Policy, boot string,
) (containers []string, v recover.Verdict) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h.History, h.WatchErr = nil, nil
		s := New(worldOf(h), p, recover.Identity{BootID: boot, PID: 51, StartTime: 901})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(20 * time.Minute) // of the bubble's time
		synctest.Wait()
		status, _ := s.Status()
		containers, v = started(h.History), status.Recovery.Verdict
		slices.Sort(containers)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return containers, v
}

// down has nothing run, as after a boot.
func down(h *recovertest.Host, names ...string) {
	for _, name := range names {
		delete(h.Sightings, name)
		h.States[name+".service"] = recover.UnitState{Loaded: true, Active: "inactive"}
	}
}

// archy.recovery=off keeps the set: also over the reboot in order that is the only way
// out of it, and over several of them.
func TestHeldIsStartedLater(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	off := recover.DefaultPolicy()
	off.Mode = recover.ModeOff
	for _, boot := range []string{"b2", "b3"} {
		if got, _ := nextRun(t, h, off, boot); len(got) > 0 {
			t.Errorf("started %q", got)
		}
	}
	got, verdict := nextRun(t, h, recover.DefaultPolicy(), "b4")
	if strings.Join(got, " ") != "a b" {
		t.Errorf("started %q after the boots with off", got)
	}
	if verdict.Ending != recover.EndedEarly || !strings.Contains(verdict.Reason, "before it could start all") {
		t.Errorf("the verdict is %+v", verdict)
	}
	if h.Marker != nil {
		t.Errorf("all run, and the marker is %+v", h.Marker)
	}
}

// What was held and then started or stopped by hand is not owed any more.
func TestHeldIsStartedByHand(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	off := recover.DefaultPolicy()
	off.Mode = recover.ModeOff
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newService(h, off).Run(ctx) }()
		synctest.Wait()
		h.Mu.Lock()
		h.Sightings["a"] = recover.Sighting{Container: recover.Container{Name: "a", Unit: "a.service"}, State: "running"}
		h.States["a.service"] = recover.UnitState{Loaded: true, Active: "active"}
		h.UserStopped = []string{"b"}
		h.Mu.Unlock()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if h.Marker != nil {
		t.Errorf("nothing is left, and the marker is %+v", h.Marker)
	}
}

// What each boot starts is not left to a later one: that would start all that ran.
func TestListedIsNotOwedToALaterBoot(t *testing.T) {
	h := recovertest.NewHost().Quadlet("files").Quadlet("runs").Ran("files", "runs")
	h.Snapshot.BootID = "b2"
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: "b2", PID: 40, StartTime: 800}}
	h.States["runs.service"] = recover.UnitState{Loaded: true, Active: "active"}
	h.Sightings["runs"] = recover.Sighting{
		Container: recover.Container{Name: "runs", Unit: "runs.service"}, State: recover.StateRunning}
	p := recover.DefaultPolicy()
	p.CleanBootList = recover.Patterns{"files"}
	off := p
	off.Mode = recover.ModeOff
	if got, _ := nextRun(t, h, off, "b2"); len(got) > 0 {
		t.Errorf("started %q", got)
	}
	if h.Marker == nil || h.Marker.Left != recover.LeftInBoot {
		t.Errorf("the marker is %+v", h.Marker)
	}
	down(h, "files", "runs")
	if got, v := nextRun(t, h, p, "b3"); strings.Join(got, " ") != "files" || v.Ending != recover.EndedCleanly {
		t.Errorf("started %q after a stop in order, which was %s", got, v.Ending)
	}
}

// What came onto the user-stopped list is not owed, also if no look has seen that.
func TestStoppedIsNotOwed(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker, h.PodmanErr = recovertest.Crashed, recovertest.ErrBroken
	off := recover.DefaultPolicy()
	off.Mode = recover.ModeOff
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newService(h, off).Run(ctx) }()
		synctest.Wait()
		h.Set(func() { h.UserStopped = []string{"a"} })
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if h.Marker != nil && h.Marker.Left == recover.LeftStarts {
		t.Errorf("nothing is left to start, and the marker is %+v", h.Marker)
	}
}

// The advice for a lost user-stopped list, to write one and to restart, works: whether the
// service or the host is restarted, and also after a clean boot.
func TestLostListIsRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		marker *recover.Marker
		boot   string
		want   string
	}{
		"service restarted":                    {recovertest.Crashed, recovertest.Here.BootID, "a b"},
		"host restarted":                       {recovertest.Crashed, "b3", "a b"},
		"service restarted after a clean boot": {nil, recovertest.Here.BootID, "b"},
		"host restarted after a clean boot":    {nil, "b3", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
			h.Snapshot.BootID = "b1"
			h.Marker, h.UserStoppedErr = c.marker, recover.ErrLost
			p := recover.DefaultPolicy()
			p.CleanBootList = recover.Patterns{"b"}
			if got, _ := nextRun(t, h, p, recovertest.Here.BootID); len(got) > 0 {
				t.Errorf("started %q without the list", got)
			}
			h.UserStoppedErr = nil
			if got, _ := nextRun(t, h, p, c.boot); strings.Join(got, " ") != c.want {
				t.Errorf("started %q with the new list, want %q", got, c.want)
			}
		})
	}
}

// No look has succeeded in this boot: a restart of the service is no clean boot, and what
// was stopped meanwhile is known.
func TestRestartWithoutALook(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("files").Ran("a", "b")
	h.Snapshot.BootID = "b1"
	h.Marker, h.PodmanErr = recovertest.Crashed, recovertest.ErrBroken
	p := recover.DefaultPolicy()
	p.CleanBootList = recover.Patterns{"files"}
	if got, _ := nextRun(t, h, p, "b2"); strings.Join(got, " ") != "a b" {
		t.Fatalf("started %q", got)
	}
	down(h, "b")
	h.InBoot, h.Events = "b2", recovertest.Story("stopping b.service\n died b 0\n stopped b.service")
	h.PodmanErr = nil
	if got, _ := nextRun(t, h, p, "b2"); len(got) > 0 {
		t.Errorf("started %q", got)
	}
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the set is %q", got)
	}
}

// A container that podman did not answer for was not tried: the next start has to.
func TestUnaskedIsStartedLater(t *testing.T) {
	h := recovertest.NewHost().Plain("p", "exited").Ran("p")
	h.Marker, h.PodmanErr = recovertest.Crashed, recovertest.ErrBroken
	if got, _ := nextRun(t, h, recover.DefaultPolicy(), "b2"); len(got) > 0 {
		t.Fatalf("started %q", got)
	}
	h.PodmanErr = nil
	if got, _ := nextRun(t, h, recover.DefaultPolicy(), "b3"); strings.Join(got, " ") != "container-p" {
		t.Errorf("started %q", got)
	}
	// One that was tried, and failed, is not owed.
	h.Start["container-p.service"] = recovertest.Fails
	h.Plain("p", "exited")
	h.Marker = recovertest.Crashed
	if nextRun(t, h, recover.DefaultPolicy(), "b4"); h.Marker != nil {
		t.Errorf("its start was tried, and the marker is %+v", h.Marker)
	}
}

// A user stops a container in the second of three boots that all crash before READY.
func TestStopInMiddleCrash(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Snapshot = &recover.Snapshot{BootID: "b1", Containers: []recover.Container{
		{Name: "a", Unit: "a.service"}, {Name: "b", Unit: "b.service"}}}
	h.Marker = recovertest.Crashed // in b1
	events := map[string][]recover.HostEvent{
		"b3": recovertest.Story("start b b.service\n stopping b.service\n died b 0\n stopped b.service"),
	}
	boot := func(id string, cut bool) []string {
		synctest.Test(t, func(t *testing.T) {
			h.History, h.WatchErr, h.InFlight = nil, nil, recover.InFlight{}
			down(h, "a", "b")
			w := worldOf(h)
			w.Journal = ofBoots{recovertest.Journal{H: h}, events}
			s := New(w, recover.DefaultPolicy(), recover.Identity{BootID: id, PID: 50})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			synctest.Wait()
			if cut {
				if s.Phase() == recover.Ready {
					t.Errorf("%s was READY", id)
				}
				h.Set(func() { h.Dead = true })
			}
			stop()
			<-done
			s.suspects.flight.Close()
			h.Set(func() { h.Dead = false })
		})
		return started(h.History)
	}
	h.Start["a.service"], h.Start["b.service"] = recovertest.Hangs, recovertest.Hangs
	for _, id := range []string{"b2", "b3", "b4"} {
		boot(id, true)
	}
	clear(h.Start)
	if got := boot("b5", false); !slices.Equal(got, []string{"a"}) {
		t.Errorf("started %q, though b was stopped in b3", got)
	}
}

// A shutdown in the middle of recovery cancels the jobs that wait, and stops units: no user
// did that. So the recovery is taken up again.
func TestShutdownCancelsStarts(t *testing.T) {
	for name, told := range map[string]recover.Outcome{
		"its job is canceled":               {Job: "canceled", UnitState: recover.UnitState{Active: "inactive"}},
		"it is up, and others were stopped": recovertest.Up,
	} {
		for unit, state := range map[string]recover.UnitState{
			shutdownTarget:  {Loaded: true, Active: "inactive", Job: "start"},
			multiUserTarget: {Loaded: true, Active: "active", Job: "stop"},
		} {
			t.Run(name+", "+unit, func(t *testing.T) {
				h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
				h.Marker = recovertest.Crashed
				h.States["b.service"] = recover.UnitState{Loaded: true, Active: "active", Job: "stop"}
				var stop context.CancelFunc
				h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
					h.Set(func() { h.States[unit] = state })
					time.AfterFunc(time.Second, stop)
					return told, nil
				}
				synctest.Test(t, func(t *testing.T) {
					var ctx context.Context
					ctx, stop = context.WithCancel(t.Context())
					defer stop()
					if err := newService(h, recover.DefaultPolicy()).Run(ctx); err != nil {
						t.Error(err)
					}
				})
				if h.Marker == nil || h.Marker.Left != recover.LeftStarts {
					t.Errorf("the marker is %+v", h.Marker)
				}
				delete(h.States, unit)
				down(h, "a", "b")
				clear(h.Start)
				if got, _ := nextRun(t, h, recover.DefaultPolicy(), "b3"); strings.Join(got, " ") != "a b" {
					t.Errorf("the next boot started %q", got)
				}
			})
		}
	}
}

// `systemctl isolate rescue` ends the containers, and the daemon with them. Back again, all
// of them are started. A reboot from there is a clean one.
func TestIsolate(t *testing.T) {
	for boot, want := range map[string]string{recovertest.Here.BootID: "a", "b3": ""} {
		h := recovertest.NewHost().Quadlet("a").Ran("a")
		h.Marker = recovertest.Crashed
		during(t, h, func() {
			h.Set(func() {
				h.LeftTarget = true
				down(h, "a")
				h.Changes <- struct{}{}
			})
			time.Sleep(time.Second) // of the bubble's time
		})
		if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the set is %q", got)
		}
		h.LeftTarget = false
		if got, _ := nextRun(t, h, recover.DefaultPolicy(), boot); strings.Join(got, " ") != want {
			t.Errorf("in boot %s %q is started, want %q", boot, got, want)
		}
	}
}

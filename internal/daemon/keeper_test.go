package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

func TestSnapshotAtStop(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		h.Mu.Lock()
		h.Plain("p", "running") // a moment before the stop
		h.Mu.Unlock()
	})
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a", "p"}) {
		t.Errorf("the snapshot holds %q, want a and p", got)
	}
}

func TestSetWhileHostGoesDown(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		h.Mu.Lock()
		h.Down = true
		delete(h.Sightings, "a")
		h.States["a.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
		h.Mu.Unlock()
	})
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the snapshot holds %q, want a", got)
	}
	if h.Marker != nil {
		t.Error("the marker is left after a clean stop")
	}
}

func TestFailedStaysInTheSet(t *testing.T) {
	h := recovertest.NewHost().Plain("p", "exited").Quadlet("q").Ran("p", "q")
	h.Marker = recovertest.Crashed
	h.Start["container-p.service"] = recovertest.Fails
	h.Start["q.service"] = recovertest.Fails
	_, report, err := live(t, h, recover.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.Summary(), "2 failed") {
		t.Errorf("summary is %q", report.Summary())
	}
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"p", "q"}) {
		t.Errorf("the snapshot holds %q, want both", got)
	}
}

func TestSnapshotFollowsTheHost(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		for _, step := range []struct {
			change func()
			want   string
		}{
			{func() { h.Plain("p", "running") }, "a p"},
			{func() { h.Plain("p", "exited") }, "a"}, // stopped: exit code 0
			{func() {
				delete(h.Sightings, "a")
				h.States["a.service"] = recover.UnitState{Loaded: true, Active: "failed"}
			}, "a"},
			{func() { h.PodmanErr = recovertest.ErrBroken; h.Plain("p", "running") }, "a"},
			{func() { h.PodmanErr = nil }, "a p"},
		} {
			h.Mu.Lock()
			step.change()
			h.Changes <- struct{}{}
			h.Mu.Unlock()
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
			s, _ := recovertest.Store{H: h}.Snapshot()
			if got := strings.Join(recovertest.Names(s.Containers), " "); got != step.want {
				t.Errorf("the snapshot holds %q, want %q", got, step.want)
			}
		}
	})
}

// The disk takes the snapshot, but not for good: the new one is read, and may be
// lost with the power. The next look saves it again, though it finds no change.
func TestSnapshotNotSynced(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		saves := func(change func()) int {
			h.Mu.Lock()
			before := len(h.History)
			change()
			h.Changes <- struct{}{}
			h.Mu.Unlock()
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
			h.Mu.Lock()
			defer h.Mu.Unlock()
			return strings.Count(strings.Join(h.History[before:], "\n"), "save a p")
		}
		if n := saves(func() { h.SyncErr = recovertest.ErrBroken; h.Plain("p", "running") }); n != 1 {
			t.Errorf("saved %d times", n)
		}
		if n := saves(func() { h.SyncErr = nil }); n != 1 {
			t.Errorf("after that saved %d times", n)
		}
		if n := saves(func() {}); n != 0 {
			t.Errorf("and when it is well %d times", n)
		}
	})
}

func TestManagerGoesAway(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		go func() { done <- newService(h, recover.DefaultPolicy()).Run(t.Context()) }()
		synctest.Wait()
		// Its successor is up already, and knows of nothing that ran.
		h.Mu.Lock()
		h.WatchErr = recover.ErrNoBus
		delete(h.Sightings, "a")
		h.States["a.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
		h.Changes <- struct{}{}
		h.Mu.Unlock()
		time.Sleep(time.Second) // of the bubble's time
		synctest.Wait()
		close(h.Changes)
		if err := <-done; !errors.Is(err, recover.ErrNoBus) {
			t.Errorf("Run returns %v, want ErrNoBus", err)
		}
	})
	if h.Marker == nil || h.Marker.PID != recovertest.Here.PID {
		t.Errorf("the marker is %+v, want ours", h.Marker)
	}
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the snapshot holds %q", got)
	}
}

// systemd calls a unit failed also when it ended badly because it was stopped:
// then it leaves the set like any other.
func TestStoppedUnitFails(t *testing.T) {
	for name, c := range map[string]struct{ story, want string }{
		"it failed by itself": {"died a 1\n failed a.service", "a b"},
		"it was stopped":      {"died a 137\n failed a.service\n stopped a.service", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
			h.Marker = recovertest.Crashed
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- newService(h, recover.DefaultPolicy()).Run(ctx) }()
				synctest.Wait()
				for range 2 { // and it stays so
					h.Mu.Lock()
					delete(h.Sightings, "a")
					h.States["a.service"] = recover.UnitState{Loaded: true, Active: "failed"}
					h.Events = recovertest.Story(c.story)
					h.Changes <- struct{}{}
					h.Mu.Unlock()
					time.Sleep(time.Second) // of the bubble's time
					synctest.Wait()
				}
				stop()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
			if got := strings.Join(recovertest.Names(h.Snapshot.Containers), " "); got != c.want {
				t.Errorf("the snapshot holds %q, want %q", got, c.want)
			}
		})
	}
}

// What the daemon knew of a member that is down need not be guessed when the host
// has crashed: the set is saved after it was looked at.
func TestMemberDownIsSaved(t *testing.T) {
	h := recovertest.NewHost().Plain("a", "running")
	h.Marker = recovertest.Crashed
	h.Snapshot = &recover.Snapshot{BootID: "b1", Containers: []recover.Container{{Name: "a"}}}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newService(h, recover.DefaultPolicy()).Run(ctx) }()
		synctest.Wait()
		h.Mu.Lock()
		h.History = nil
		h.Sightings["a"] = recover.Sighting{Container: recover.Container{Name: "a"}, State: "exited", ExitCode: 137}
		h.Mu.Unlock()
		for range 2 {
			h.Changes <- struct{}{}
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
		}
		h.Mu.Lock()
		if !slices.Equal(h.History, []string{"save a"}) {
			t.Errorf("done was %q, want one save", h.History)
		}
		h.Mu.Unlock()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Podman's storage may lie on a disk that is not there yet: then it knows of
// nothing, and nothing is forgotten for it.
func TestUnknownSetIsKept(t *testing.T) {
	h := recovertest.NewHost().Ran("a", "b")
	h.Marker = recovertest.Crashed
	if _, _, err := live(t, h, recover.DefaultPolicy()); err != nil {
		t.Fatal(err)
	}
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the snapshot holds %q", got)
	}
}

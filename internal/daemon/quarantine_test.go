package daemon

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// quarantined is a host whose b is quarantined, and has just crashed in peace.
func quarantined(t *testing.T) *recovertest.Host {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	h.UserStopped = []string{"b"}
	h.Definition = map[string]string{"b.service": "one"}
	s := newService(h, recover.DefaultPolicy())
	view := s.world.host().Look(t.Context(), nil)
	b := recover.Suspect{Name: "b", Strikes: 2, BootID: "b0", Quarantined: true, Listed: true, Image: "i"}
	h.Images = map[string]string{"i": "old"}
	b.Fingerprint = s.suspects.fingerprint(t.Context(), b, view)
	h.Quarantine = recover.Quarantine{b}
	return h
}

func TestQuarantinedContainer(t *testing.T) {
	for name, c := range map[string]struct {
		prepare         func(h *recovertest.Host)
		want            []string // started
		wantUserStopped []string
	}{
		"stays where it is": {func(*recovertest.Host) {}, []string{"a"}, []string{"b"}},
		"gets a chance when its unit is changed": {
			func(h *recovertest.Host) { h.Definition["b.service"] = "two" }, []string{"a", "b"}, nil},
		"gets a chance when its image is changed": {
			func(h *recovertest.Host) { h.Images["i"] = "new" }, []string{"a", "b"}, nil},
		"gets a chance when it is made of another image": {
			func(h *recovertest.Host) {
				h.Plain("b", "exited").Sightings["b"] = recover.Sighting{Container: recover.Container{Name: "b", Image: "j",
					Unit: "b.service"}, State: "exited"}
				h.Images["j"] = "other"
			}, []string{"a", "b"}, nil},
		"gets none for being there again": {
			func(h *recovertest.Host) {
				h.Sightings["b"] = recover.Sighting{Container: recover.Container{Name: "b", Image: "i", Unit: "b.service"},
					State: "exited"}
			}, []string{"a"}, []string{"b"}},
		"gets none when it cannot be told whether it is another one": {
			func(h *recovertest.Host) {
				h.Units["b.service"] = recover.ContainerUnit{Unit: "b.service", Container: recover.Container{Name: "b", Image: "i"}}
				h.PodmanErr = recovertest.ErrBroken
			}, []string{"a"}, []string{"b"}},
		"stays user-stopped when it changes and the user had put it there": {
			func(h *recovertest.Host) {
				h.Quarantine[0].Listed = false
				h.Definition["b.service"] = "two"
			}, []string{"a"}, []string{"b"}},
		"stays where it is when someone takes its name off the list": {
			func(h *recovertest.Host) { h.UserStopped = nil }, []string{"a"}, nil},
		"stays where it is when the list of suspects is lost": {
			func(h *recovertest.Host) { h.Quarantine, h.QuarantineErr = nil, recover.ErrLost }, []string{"a"}, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := quarantined(t)
			c.prepare(h)
			history, _, err := live(t, h, recover.DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(slices.Values(started(history))); !slices.Equal(got, c.want) {
				t.Errorf("started were %q, want %q", got, c.want)
			}
			if !slices.Equal(h.UserStopped, c.wantUserStopped) {
				t.Errorf("user-stopped are %q, want %q", h.UserStopped, c.wantUserStopped)
			}
		})
	}
}

// A name that we listed and cannot take off the list again is no word of the
// user: the container is started, and not forgotten.
func TestSecondChanceListBusy(t *testing.T) {
	h := quarantined(t)
	h.Definition["b.service"] = "two"
	h.EditErr = recover.ErrBusy
	withService(t, h, func(s *Service) {
		untilReady(s)
		synctest.Wait()
		set, _ := recovertest.Store{H: h}.Snapshot()
		if got := recovertest.Names(set.Containers); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the set is %q", got)
		}
		time.Sleep(recover.DefaultPolicy().Soak)
		h.Mu.Lock()
		h.EditErr = nil
		h.Mu.Unlock()
		for range 2 { // that it runs, and then that it has run for a soak
			_, _ = s.TakeSnapshot(context.Background())
			time.Sleep(recover.DefaultPolicy().Soak)
		}
	})
	if got := slices.Sorted(slices.Values(started(h.History))); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("started were %q", got)
	}
	if len(h.Quarantine) > 0 || len(h.UserStopped) > 0 {
		t.Errorf("left are %+v and the list %q", h.Quarantine, h.UserStopped)
	}
}

// A release that cannot be done is not said to be done.
func TestReleaseFails(t *testing.T) {
	t.Run("for the list", func(t *testing.T) {
		h := quarantined(t)
		h.EditErr = recover.ErrBusy
		withService(t, h, func(s *Service) {
			if err := s.Release("b"); !errors.Is(err, recover.ErrBusy) {
				t.Errorf("%v, want ErrBusy", err)
			}
			if st, _ := s.Status(); !st.Quarantine[0].Quarantined || !h.Quarantine[0].Listed {
				t.Errorf("%+v is in quarantine, on disk %+v", st.Quarantine, h.Quarantine)
			}
		})
	})
	t.Run("for the disk", func(t *testing.T) {
		h := quarantined(t)
		withService(t, h, func(s *Service) {
			h.Mu.Lock()
			h.UserStopped, h.WriteErr = nil, recovertest.ErrBroken
			h.Mu.Unlock()
			if err := s.Release("b"); !errors.Is(err, recovertest.ErrBroken) {
				t.Errorf("%v, want that it cannot be written", err)
			}
		})
	})
}

// A container that a unit runs is gone from podman after a crash: what it was made
// of the set remembers.
func TestQuarantinedImageIsRemembered(t *testing.T) {
	h := recovertest.NewHost().Quadlet("b").Ran()
	h.Snapshot.Containers = []recover.Container{{Name: "b", Image: "i"}}
	h.Images = map[string]string{"i": "old"}
	h.Definition = map[string]string{"b.service": "one"}
	h.Marker = recovertest.Crashed
	h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"b"}}
	h.Quarantine = recover.Quarantine{{Name: "b", Strikes: 2, BootID: "b0"}}
	if _, report, _ := live(t, h, recover.DefaultPolicy()); states(report)["b"] != recover.RowQuarantined {
		t.Fatalf("%v", states(report))
	}
	h.Marker, h.Images = recovertest.Crashed, map[string]string{"i": "new"}
	if history, report, _ := live(t, h, recover.DefaultPolicy()); !slices.Equal(started(history), []string{"b"}) {
		t.Errorf("%v, though its image is another one", states(report))
	}
}

func TestRelease(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		if err := s.Release("b"); err != nil {
			t.Error(err)
		}
		if err := s.Release("b"); err == nil {
			t.Error("released twice")
		}
		if err := s.Release("../b"); err == nil {
			t.Error("a name that is none was taken")
		}
	})
	if len(h.Quarantine) > 0 || len(h.UserStopped) > 0 {
		t.Errorf("left are %+v and the list %q", h.Quarantine, h.UserStopped)
	}
	h.Marker, h.History = &recover.Marker{Identity: recover.Identity{BootID: "b1"}}, nil
	delete(h.Sightings, "a")
	h.States["a.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
	history, _, _ := live(t, h, recover.DefaultPolicy())
	if got := slices.Sorted(slices.Values(started(history))); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after the next crash %q were started", got)
	}
}

func TestQuarantinedStartedByHandIsCleared(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		h.Mu.Lock()
		h.Sightings["b"] = recover.Sighting{Container: recover.Container{Name: "b", Unit: "b.service"}, State: "running"}
		h.States["b.service"] = recover.UnitState{Loaded: true, Active: "active"}
		h.Mu.Unlock()
		_, _ = s.TakeSnapshot(context.Background())
		if len(h.Quarantine) == 0 {
			t.Error("cleared at once")
		}
		runs := func(yes bool) {
			h.Mu.Lock()
			defer h.Mu.Unlock()
			b := h.Sightings["b"]
			b.State = map[bool]recover.ContainerState{true: "running", false: "exited"}[yes]
			h.Sightings["b"] = b
		}
		for _, yes := range []bool{true, false, true} { // not long enough each time
			runs(yes)
			_, _ = s.TakeSnapshot(context.Background())
			time.Sleep(recover.DefaultPolicy().Soak / 2)
			if len(h.Quarantine) == 0 {
				t.Error("cleared too early")
			}
		}
		_, _ = s.TakeSnapshot(context.Background())
		if len(h.Quarantine) == 0 {
			t.Error("cleared before it had run for a soak")
		}
		time.Sleep(recover.DefaultPolicy().Soak)
		_, _ = s.TakeSnapshot(context.Background())
	})
	if len(h.Quarantine) > 0 || len(h.UserStopped) > 0 {
		t.Errorf("left are %+v and the list %q", h.Quarantine, h.UserStopped)
	}
}

func TestUserStoppedQuarantinedName(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		if _, err := s.SetUserStopped("b", true); err != nil {
			t.Error(err)
		}
		if err := s.Release("b"); err != nil {
			t.Error(err)
		}
	})
	if !slices.Equal(h.UserStopped, []string{"b"}) {
		t.Errorf("the list is %q, want b, which the user put there", h.UserStopped)
	}
}

// Another program takes the name off the list, and later a user puts it there.
func TestUserStoppedNameComesBack(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		for _, list := range [][]string{nil, {"b"}} {
			h.Mu.Lock()
			h.UserStopped = list
			h.Mu.Unlock()
			_, _ = s.TakeSnapshot(context.Background())
		}
		if err := s.Release("b"); err != nil {
			t.Error(err)
		}
	})
	if !slices.Equal(h.UserStopped, []string{"b"}) {
		t.Errorf("the list is %q, want b, which the user put there", h.UserStopped)
	}
}

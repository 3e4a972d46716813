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

// A container without a unit that was killed while the daemon was dead: exit
// code 137 alone does not say by whom.
func TestKilledWithoutDaemon(t *testing.T) {
	h := recovertest.NewHost()
	for name, code := range map[string]int{"oom": 137, "stop": 137, "quit": 2} {
		h.Plain(name, "exited")
		s := h.Sightings[name]
		s.ExitCode = code
		h.Sightings[name] = s
	}
	h.StoppedByUser = map[string]bool{"stop": true, "quit": true}
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
	h.Snapshot = &recover.Snapshot{BootID: recovertest.Here.BootID,
		Containers: []recover.Container{{Name: "oom"}, {Name: "stop"}, {Name: "quit"}}}
	h.Events = recovertest.Story("died oom 137\n died stop 137\n died quit 2")
	history, _, err := live(t, h, recover.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	if got := started(history); !slices.Equal(got, []string{"container-oom"}) {
		t.Errorf("started %q", got)
	}
}

// What a recovery has brought up to date is saved though it is the set that was
// read, once: the next one has only to replay what comes after.
func TestRecoveredSetIsSaved(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
	h.Snapshot = &recover.Snapshot{BootID: recovertest.Here.BootID, Monotonic: time.Minute,
		Containers: []recover.Container{{Name: "a", Unit: "a.service"}}}
	history, _, err := live(t, h, recover.DefaultPolicy())
	if saves := strings.Count(strings.Join(history, "\n"), "save "); err != nil || saves != 1 ||
		h.Snapshot.Monotonic != time.Hour {
		t.Errorf("%v, %d saves, the last of %s; history is %q", err, saves, h.Snapshot.Monotonic, history)
	}
}

// ofBoots has the events of each boot.
type ofBoots struct {
	recovertest.Journal
	events map[string][]recover.HostEvent
}

func (j ofBoots) Events(_ context.Context, boot string, _ time.Duration, _ []string) ([]recover.HostEvent, error) {
	return j.events[boot], nil
}

// What a daemon finds that is back after a crash in this boot.
func TestServiceCrash(t *testing.T) {
	crash := func(t *testing.T) *recovertest.Host {
		h := recovertest.NewHost()
		h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
		return h
	}
	was := func(h *recovertest.Host, members ...recover.Container) *recovertest.Host {
		h.Snapshot = &recover.Snapshot{BootID: recovertest.Here.BootID, Containers: members}
		return h
	}
	db, plain := recover.Container{Name: "db", Unit: "db.service"}, recover.Container{Name: "plain"}
	shows := func(h *recovertest.Host, c recover.Container, state recover.ContainerState, code int) {
		h.Sightings[c.Name] = recover.Sighting{Container: c, State: state, ExitCode: code}
	}
	for name, c := range map[string]struct {
		host    func(*testing.T) *recovertest.Host
		started string
		set     string // after it
	}{
		"a unit's stop goes on": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Sub: "stop", Job: "stop"}
			shows(h, db, "stopping", 0)
			h.Events = recovertest.Story("stopping db.service")
			return h
		}, "", ""},
		"podman's stop goes on": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t), plain)
			shows(h, plain, "stopping", 0)
			h.StoppedByUser = map[string]bool{"plain": true}
			return h
		}, "", ""},
		"podman knows of a death of which the journal does not": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
			shows(h, db, "stopped", 137)
			h.Ends = map[string]time.Duration{"db.service": time.Second}
			return h
		}, "db", "db"},
		"systemd is about to restart it": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "activating", Sub: "auto-restart"}
			h.Events = recovertest.Story("died db 0\n remove db\n ended db.service")
			return h
		}, "db", "db"},
		"someone restarts it": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Job: "restart"}
			h.Events = recovertest.Story("stopping db.service\n died db 137\n remove db")
			return h
		}, "db", "db"},
		"a dead one's unit turns out to have been stopped": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
			h.Events = recovertest.Story("died db 143\n remove db")
			h.Ends, h.EndAs = map[string]time.Duration{"db.service": time.Second}, "inactive"
			return h
		}, "", ""},
		"it died, and podman does not answer": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.PodmanErr = recovertest.ErrBroken
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
			h.Ends = map[string]time.Duration{"db.service": time.Second}
			h.Events = recovertest.Story("died db 137\n remove db")
			return h
		}, "db", "db"},
		"a dead one's unit is deactivating, and was stopped": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Sub: "stop-post"}
			h.Events = recovertest.Story("died db 143\n remove db")
			h.Ends, h.EndAs = map[string]time.Duration{"db.service": time.Second}, "inactive"
			return h
		}, "", ""},
		"a dead one ends at once when it is started": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
			h.Ends = map[string]time.Duration{"db.service": time.Second}
			h.Events = recovertest.Story("died db 137\n remove db")
			h.Start["db.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
				if attempt > 1 {
					return recovertest.Up, nil
				}
				h.Mu.Lock()
				defer h.Mu.Unlock()
				h.States["db.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
				return recover.Outcome{Job: "done", UnitState: h.States["db.service"]}, nil
			}
			return h
		}, "db db", "db"},
		"someone stops it before its turn comes": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db").Quadlet("web"),
				recover.Container{Name: "db", Unit: "db.service", Tier: new(0)},
				recover.Container{Name: "web", Unit: "web.service"})
			h.Units["db.service"] = recover.ContainerUnit{Unit: "db.service", Container: h.Snapshot.Containers[0]}
			h.Start["db.service"] = func(context.Context, int) (recover.Outcome, error) {
				h.Mu.Lock()
				defer h.Mu.Unlock()
				h.States["web.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
				return recovertest.Up, nil
			}
			return h
		}, "db", "db"},
		"someone stops it before its second attempt": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Quadlet("db"), db)
			h.Start["db.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
				h.Mu.Lock()
				defer h.Mu.Unlock()
				h.States["db.service"] = recover.UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
				return recover.Outcome{Job: "failed", UnitState: recover.UnitState{Loaded: true, Active: "failed"}}, nil
			}
			return h
		}, "db", ""},
		"it was stopped in the boot before, and podman has forgotten that": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t).Plain("plain", "exited"), plain)
			h.Snapshot.BootID = "b1"
			shows(h, plain, "exited", 143)
			h.InBoot, h.Events = "b1", recovertest.Story("died plain 143")
			return h
		}, "", ""},
		"a label names a unit that runs something else": {func(t *testing.T) *recovertest.Host {
			h := was(crash(t))
			shows(h, recover.Container{Name: "web", Unit: "podman-compose@p.service"}, "exited", 143)
			h.StoppedByUser = map[string]bool{"web": true}
			h.Events = recovertest.Story("start web podman-compose@p.service\n died web 143")
			return h
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := c.host(t)
			history, report, err := live(t, h, recover.DefaultPolicy())
			if got := strings.Join(started(history), " "); err != nil || got != c.started {
				t.Errorf("%v, started %q, want %q; rows are %+v", err, got, c.started, report.Rows)
			}
			if got := strings.Join(recovertest.Names(h.Snapshot.Containers), " "); got != c.set {
				t.Errorf("the set is %q, want %q", got, c.set)
			}
		})
	}
}

// A unit that stays active though its container is gone is not one that is up.
func TestUnitOutlivesContainer(t *testing.T) {
	h := recovertest.NewHost().Quadlet("db")
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
	h.Snapshot = &recover.Snapshot{BootID: recovertest.Here.BootID,
		Containers: []recover.Container{{Name: "db", Unit: "db.service"}}}
	h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active", Sub: "exited"}
	h.Events = recovertest.Story("died db 137")
	h.Ends = map[string]time.Duration{"db.service": time.Hour}
	h.Idle = true
	_, report, err := live(t, h, recover.DefaultPolicy())
	if err != nil || len(report.Rows) != 1 || report.Rows[0].State != recover.RowFailed ||
		len(report.Rows[0].Attempts) != 2 {
		t.Errorf("%v, rows are %+v", err, report.Rows)
	}
}

// A run that died before READY had no snapshot of its own: what happened in its
// boot is replayed all the same.
func TestBootWithoutReady(t *testing.T) {
	run := func(t *testing.T, h *recovertest.Host, events map[string][]recover.HostEvent) []string {
		synctest.Test(t, func(t *testing.T) {
			s := newService(h, recover.DefaultPolicy())
			s.world.Journal = ofBoots{recovertest.Journal{H: h}, events}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			time.Sleep(time.Minute) // of the bubble's time
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return started(h.History)
	}
	t.Run("this one", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("db").Plain("plain", "exited")
		h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
		h.Snapshot = &recover.Snapshot{BootID: "b1", Containers: []recover.Container{{Name: "db", Unit: "db.service"},
			{Name: "plain"}}}
		h.Sightings["plain"] = recover.Sighting{Container: recover.Container{Name: "plain"}, State: "exited", ExitCode: 143}
		h.StoppedByUser = map[string]bool{"plain": true}
		got := run(t, h, map[string][]recover.HostEvent{recovertest.Here.BootID: recovertest.Story(
			"start db db.service\n start plain\n stopping db.service\n died db 0\n ended db.service\n " +
				"stopped db.service\n died plain 143")})
		if len(got) > 0 {
			t.Errorf("started %q, which were stopped", got)
		}
	})
	t.Run("the last one", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("db").Quadlet("new")
		h.Marker = &recover.Marker{Identity: recover.Identity{BootID: "b1", PID: 40}}
		h.Snapshot = &recover.Snapshot{BootID: "b0", Containers: []recover.Container{{Name: "db", Unit: "db.service"}}}
		got := run(t, h, map[string][]recover.HostEvent{"b1": recovertest.Story("start new new.service")})
		slices.Sort(got)
		if !slices.Equal(got, []string{"db", "new"}) {
			t.Errorf("started %q", got)
		}
	})
}

// Containers that are killed together with the daemon are being cleaned up when
// the next one is there: podman may list them as running, and their units are
// active still.
func TestContainerInCleanup(t *testing.T) {
	for name, c := range map[string]struct {
		ends  time.Duration // the unit of db
		after time.Duration // then db is started
	}{
		"its unit ends":       {3 * time.Second, 3 * time.Second},
		"its unit ends never": {time.Hour, endWithin},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("db").Ran("db")
			h.Plain("plain", "exited")
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active", Sub: "running"}
			h.Stale = []recover.Sighting{
				{Container: recover.Container{Name: "db", Unit: "db.service"}, State: "running"},
				{Container: recover.Container{Name: "plain"}, State: "running"},
			}
			h.Sightings["plain"] = recover.Sighting{Container: recover.Container{Name: "plain"}, State: "exited", ExitCode: 137}
			h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
			h.Snapshot = &recover.Snapshot{BootID: recovertest.Here.BootID,
				Containers: []recover.Container{{Name: "db", Unit: "db.service"}, {Name: "plain"}}}
			h.Events = recovertest.Story("died db 137\n died plain 137\n remove db")
			h.Ends = map[string]time.Duration{"db.service": c.ends}
			_, report, err := live(t, h, recover.DefaultPolicy())
			if err != nil || len(report.Rows) != 2 {
				t.Errorf("%v, rows are %+v", err, report.Rows)
			}
			for _, row := range report.Rows {
				if row.State != recover.RowUp {
					t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
				}
				if took := row.Ended().Sub(report.Started); row.Name == "db" && took != c.after {
					t.Errorf("db was up after %s, want %s", took, c.after)
				}
			}
		})
	}
}

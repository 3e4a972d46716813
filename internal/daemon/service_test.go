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

	"github.com/google/go-cmp/cmp"
)

// live runs a service on h until READY, or as long as it runs, then stops it
// in order and returns the whole history.
func live(t *testing.T, h *recovertest.Host, p recover.Policy) (history []string, report recover.Report, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newService(h, p)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for {
			st, changed := s.Status()
			if st.State == recover.Ready {
				synctest.Wait() // the first snapshot is taken
				report = st.Recovery
				break
			}
			select {
			case <-changed:
				continue
			case err = <-done:
				stop()
				history = h.History
				return
			}
		}
		h.Mu.Lock()
		h.Say("stop")
		h.Mu.Unlock()
		stop()
		err = <-done
		history = h.History
	})
	return history, report, err
}

// during runs a service on h, under synctest, and stops it in order after do,
// which begins when nothing moves any more.
func during(t *testing.T, h *recovertest.Host, do func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newService(h, recover.DefaultPolicy()).Run(ctx) }()
		synctest.Wait()
		do()
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// started is what was started, in order.
func started(history []string) []string {
	var units []string
	for _, line := range history {
		if unit, ok := strings.CutPrefix(line, "start "); ok {
			units = append(units, strings.TrimSuffix(unit, ".service"))
		}
	}
	return units
}

func TestCrashOrderOfWrites(t *testing.T) {
	h := recovertest.NewHost().Quadlet("db").Quadlet("app").Plain("web", "exited").Ran("app", "db", "web")
	h.Marker = recovertest.Crashed
	p := recover.DefaultPolicy()
	p.Tiers = map[int]recover.Patterns{0: {"db"}, 4: {"web"}}
	history, report, err := live(t, h, p)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"mark", // at once, before anything is started
		"generate web", "install container-web.service",
		"in flight db", "start db.service",
		"in flight app db", "start app.service",
		"in flight app db web", "start container-web.service",
		"READY complete: 3 containers run, 3 of them started",
		"save app db web", // not before READY
		"stop", "STOPPING", "in flight ", "unmark",
	}
	// The set is the same after recovery, so that a save may be spared.
	got := slices.DeleteFunc(history, func(l string) bool { return strings.HasPrefix(l, "save ") })
	want = slices.DeleteFunc(want, func(l string) bool { return strings.HasPrefix(l, "save ") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if report.Verdict.Ending != recover.HostCrashed || report.Failed() {
		t.Errorf("report %+v", report)
	}
}

func TestCandidatesStarted(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host, p *recover.Policy)
		want    []string
	}{
		"after a crash all that ran, but for what was stopped on purpose": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker, h.UserStopped = recovertest.Crashed, []string{"b"}
			}, []string{"a", "c"}},
		"after a service crash only what is down": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
				h.Plain("a", "running")
			}, []string{"b", "c"}},
		"after a legacy marker too": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker = &recover.Marker{Identity: recover.Identity{PID: 1}, Legacy: true}
			}, []string{"a", "b", "c"}},
		"after a garbled marker too": {
			func(h *recovertest.Host, p *recover.Policy) { h.Marker = &recover.Marker{Garbled: true} }, []string{"a", "b", "c"}},
		"after a clean stop nothing without a list": {
			func(h *recovertest.Host, p *recover.Policy) {}, nil},
		"after a clean stop the clean-boot list, also what did not run before": {
			func(h *recovertest.Host, p *recover.Policy) { p.CleanBootList = recover.Patterns{"c", "d", "unknown"} },
			[]string{"c", "d"}},
		"after a clean stop the clean-boot list, but for what was stopped on purpose": {
			func(h *recovertest.Host, p *recover.Policy) {
				p.CleanBootList, h.UserStopped = recover.Patterns{"c", "d"}, []string{"d"}
			}, []string{"c"}},
		"after a clean stop with CleanBoot=restore what ran": {
			func(h *recovertest.Host, p *recover.Policy) { p.CleanBoot = recover.CleanBootRestore }, []string{"a", "b", "c"}},
		"after a crash without a readable snapshot the clean-boot list": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker, h.SnapshotErr, p.CleanBootList = recovertest.Crashed, recover.ErrLost, recover.Patterns{"d"}
			}, []string{"d"}},
		"after a crash nothing if the user-stopped list is lost": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker, h.UserStoppedErr = recovertest.Crashed, recover.ErrLost
			}, nil},
		"after a crash what units know, if podman is broken": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker, h.PodmanErr = recovertest.Crashed, recovertest.ErrBroken
			}, []string{"a", "b", "c"}},
		"after a crash nothing that nobody knows any more": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker = recovertest.Crashed
				delete(h.Units, "b.service")
			}, []string{"a", "c"}},
		"after a crash also when no marker can be written": {
			func(h *recovertest.Host, p *recover.Policy) {
				h.Marker, h.WriteErr = recovertest.Crashed, recovertest.ErrBroken
			}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Quadlet("d").Ran("a", "b", "c")
			p := recover.DefaultPolicy()
			c.prepare(h, &p)
			history, _, err := live(t, h, p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, slices.Sorted(slices.Values(started(history)))); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
			if !slices.ContainsFunc(history, func(l string) bool { return strings.HasPrefix(l, "READY ") }) {
				t.Error("READY was never sent")
			}
		})
	}
}

func TestSecondInstance(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}, Alive: true}
	history, _, err := live(t, h, recover.DefaultPolicy())
	if !errors.Is(err, ErrAlreadyRunning) || !strings.Contains(err.Error(), "49") {
		t.Errorf("Run returns %v, want ErrAlreadyRunning with the PID", err)
	}
	if len(history) > 0 {
		t.Errorf("it did %q", history)
	}
}

func TestCleanBootSnapshotBeforeMarker(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("files").Ran("a")
	p := recover.DefaultPolicy()
	p.CleanBootList = recover.Patterns{"files"}
	history, _, err := live(t, h, p)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"save files", "mark", "in flight files"}
	if diff := cmp.Diff(want, history[:3]); diff != "" {
		t.Errorf("a crash in this boot would bring back the last boot's set (-want +got):\n%s", diff)
	}
}

func TestStopDuringRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
		h.Marker = recovertest.Crashed
		h.Start["a.service"] = recovertest.Hangs
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if err := newService(h, recover.DefaultPolicy()).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if h.Marker == nil {
			t.Error("the marker is gone: the next start would not recover b")
		}
		for _, line := range h.History {
			if strings.HasPrefix(line, "READY") || strings.HasPrefix(line, "save") || line == "unmark" {
				t.Errorf("unexpected %q", line)
			}
		}
	})
}

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

func TestStopDuringCleanBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("a").Quadlet("b")
		h.Start["a.service"] = recovertest.Hangs
		p := recover.DefaultPolicy()
		p.CleanBootList = recover.Patterns{"a", "b"}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if err := newService(h, p).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if h.Marker == nil {
			t.Error("the marker is gone: the next start would leave out a")
		}
		if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the snapshot holds %q, want what this boot was to run", got)
		}
	})
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

func TestUnitFoundLater(t *testing.T) {
	h := recovertest.NewHost().Plain("p", "exited").Ran("p")
	h.Marker = recovertest.Crashed
	h.PodmanErr = recovertest.ErrBroken
	delete(h.Sightings, "p")
	during(t, h, func() {
		time.Sleep(time.Second) // of the bubble's time: podman comes up after the first attempt
		h.Mu.Lock()
		h.PodmanErr = nil
		h.Plain("p", "exited")
		h.Mu.Unlock()
		time.Sleep(time.Minute)
	})
	if got := started(h.History); !slices.Equal(got, []string{"container-p"}) {
		t.Errorf("started %q, want container-p", got)
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

// A restart of the service, as by an upgrade, is no boot: it starts nothing
// and forgets nothing.
func TestRestartInTheSameBoot(t *testing.T) {
	for name, podmanErr := range map[string]error{"podman answers": nil, "podman is broken": recovertest.ErrBroken} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("failed").Quadlet("files").Quadlet("skipped")
			h.Snapshot = &recover.Snapshot{BootID: recovertest.Here.BootID,
				Containers: []recover.Container{{Name: "failed", Unit: "failed.service"},
					{Name: "skipped", Unit: "skipped.service", Unrecovered: true}}}
			h.States["failed.service"] = recover.UnitState{Loaded: true, Active: "failed"}
			h.PodmanErr = podmanErr
			p := recover.DefaultPolicy()
			p.CleanBootList = recover.Patterns{"files"}
			history, _, err := live(t, h, p)
			if err != nil {
				t.Fatal(err)
			}
			if got := started(history); len(got) > 0 {
				t.Errorf("started %q", got)
			}
			if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"failed", "skipped"}) {
				t.Errorf("the snapshot holds %q", got)
			}
		})
	}
}

func TestUserStoppedDuringRecovery(t *testing.T) {
	h := recovertest.NewHost().Quadlet("db").Quadlet("app").Ran("app", "db")
	h.Marker = recovertest.Crashed
	p := recover.DefaultPolicy()
	p.Tiers = map[int]recover.Patterns{0: {"db"}}
	h.Start["db.service"] = func(context.Context, int) (recover.Outcome, error) {
		h.Mu.Lock()
		defer h.Mu.Unlock()
		h.UserStopped = []string{"app"}
		return recovertest.Up, nil
	}
	history, report, err := live(t, h, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := started(history); !slices.Equal(got, []string{"db"}) {
		t.Errorf("started %q", got)
	}
	if report.Counts()[recover.RowUserStopped] != 1 {
		t.Errorf("rows are %+v", report.Rows)
	}
}

// What is no name, podman takes for the beginning of an ID.
func TestNameIsIDPrefix(t *testing.T) {
	for name, c := range map[string]struct {
		shows   recover.Sighting // beside app
		started string
	}{
		"it is another's ID": {
			recover.Sighting{Container: recover.Container{Name: "other"}, ID: "db7277", State: "running"}, "app",
		},
		"it is not": {
			recover.Sighting{Container: recover.Container{Name: "other"}, ID: "7277db", State: "running"}, "app db",
		},
		"podman knows the name": {
			recover.Sighting{Container: recover.Container{Name: "db"}, ID: "db7277", State: "exited", ExitCode: 1}, "app db",
		},
		"no ID begins with a name like it": {
			recover.Sighting{Container: recover.Container{Name: "other"}, ID: "app", State: "running"}, "app db",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("db").Quadlet("app").Ran("app", "db")
			h.Marker = recovertest.Crashed
			h.Sightings[c.shows.Name] = c.shows
			history, report, err := live(t, h, recover.DefaultPolicy())
			got := started(history)
			slices.Sort(got)
			if err != nil || strings.Join(got, " ") != c.started {
				t.Errorf("%v, started %q, want %q", err, got, c.started)
			}
			for _, row := range report.Rows {
				if row.Name == "db" && (row.State == recover.RowFailed) == strings.Contains(c.started, "db") ||
					row.State == recover.RowFailed && !strings.Contains(row.Error, "other") {
					t.Errorf("the row is %+v", row)
				}
			}
			if !recover.HasName(h.Snapshot.Containers, "db") {
				t.Errorf("the set is %+v", h.Snapshot.Containers)
			}
		})
	}
}

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
	events map[string][]recover.Entry
}

func (j ofBoots) Events(_ context.Context, boot string, _ time.Duration) ([]recover.Entry, error) {
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
	shows := func(h *recovertest.Host, c recover.Container, state string, code int) {
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
	run := func(t *testing.T, h *recovertest.Host, events map[string][]recover.Entry) []string {
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
		got := run(t, h, map[string][]recover.Entry{recovertest.Here.BootID: recovertest.Story(
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
		got := run(t, h, map[string][]recover.Entry{"b1": recovertest.Story("start new new.service")})
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

// A user's manager that goes down in the middle of recovery, while the host
// does not, must not leave us waiting for ever.
func TestUserManagerGoesDownDuringRecovery(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
		return recover.Outcome{}, recover.ErrGoingDown
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := newService(h, recover.DefaultPolicy()).Run(t.Context()); !errors.Is(err, recover.ErrNoBus) {
			t.Errorf("Run returns %v", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("after %s", took)
		}
	})
	if h.Marker == nil || h.Marker.PID != recovertest.Here.PID {
		t.Errorf("the marker is %+v, want ours", h.Marker)
	}
}

// The journal decides nothing, so nothing waits for it.
func TestJournalHangs(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	synctest.Test(t, func(t *testing.T) {
		s := newService(h, recover.DefaultPolicy())
		s.world.Journal = hungJournal{recovertest.Journal{H: h}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if got := started(h.History); !slices.Equal(got, []string{"a"}) || s.Phase() != recover.Ready {
			t.Errorf("started %q, %s", got, s.Phase())
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

type hungJournal struct{ recovertest.Journal }

func (hungJournal) BootEnd(ctx context.Context, _, _ string) (recover.BootEnd, error) {
	<-ctx.Done()
	return recover.BootEnd{}, ctx.Err()
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

package recover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// live runs a service on h until READY, or as long as it runs, then stops it
// in order and returns the whole history.
func live(t *testing.T, h *host, p Policy) (history []string, report Report, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := h.service(p)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for {
			st, changed := s.Status()
			if st.State == Ready {
				synctest.Wait() // the first snapshot is taken
				report = st.Recovery
				break
			}
			select {
			case <-changed:
				continue
			case err = <-done:
				stop()
				history = h.history
				return
			}
		}
		h.mu.Lock()
		h.say("stop")
		h.mu.Unlock()
		stop()
		err = <-done
		history = h.history
	})
	return history, report, err
}

// during runs a service on h, under synctest, and stops it in order after do,
// which begins when nothing moves any more.
func during(t *testing.T, h *host, do func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.service(DefaultPolicy()).Run(ctx) }()
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

func TestACrashIsRecoveredFromInTheRightOrderOfWrites(t *testing.T) {
	h := newHost(t).quadlet("db").quadlet("app").plain("web", "exited").ran("app", "db", "web")
	h.marker = crashed
	p := DefaultPolicy()
	p.Tiers = map[int]Patterns{0: {"db"}, 4: {"web"}}
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
	if report.Verdict.Ending != HostCrashed || report.Failed() {
		t.Errorf("report %+v", report)
	}
}

func TestWhatIsStarted(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *host, p *Policy)
		want    []string
	}{
		"after a crash all that ran, but for what was stopped on purpose": {
			func(h *host, p *Policy) { h.marker, h.userStopped = crashed, []string{"b"} }, []string{"a", "c"}},
		"after a service crash only what is down": {
			func(h *host, p *Policy) {
				h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
				h.plain("a", "running")
			}, []string{"b", "c"}},
		"after a legacy marker too": {
			func(h *host, p *Policy) { h.marker = &Marker{Identity: Identity{PID: 1}, Legacy: true} }, []string{"a", "b", "c"}},
		"after a garbled marker too": {
			func(h *host, p *Policy) { h.marker = &Marker{Garbled: true} }, []string{"a", "b", "c"}},
		"after a clean stop nothing without a list": {
			func(h *host, p *Policy) {}, nil},
		"after a clean stop the clean-boot list, also what did not run before": {
			func(h *host, p *Policy) { p.CleanBootList = Patterns{"c", "d", "unknown"} }, []string{"c", "d"}},
		"after a clean stop the clean-boot list, but for what was stopped on purpose": {
			func(h *host, p *Policy) { p.CleanBootList, h.userStopped = Patterns{"c", "d"}, []string{"d"} }, []string{"c"}},
		"after a clean stop with CleanBoot=restore what ran": {
			func(h *host, p *Policy) { p.CleanBoot = CleanBootRestore }, []string{"a", "b", "c"}},
		"after a crash without a readable snapshot the clean-boot list": {
			func(h *host, p *Policy) {
				h.marker, h.snapshotErr, p.CleanBootList = crashed, ErrLost, Patterns{"d"}
			}, []string{"d"}},
		"after a crash nothing if the user-stopped list is lost": {
			func(h *host, p *Policy) { h.marker, h.userStoppedErr = crashed, ErrLost }, nil},
		"after a crash what units know, if podman is broken": {
			func(h *host, p *Policy) { h.marker, h.podmanErr = crashed, errBroken }, []string{"a", "b", "c"}},
		"after a crash nothing that nobody knows any more": {
			func(h *host, p *Policy) { h.marker = crashed; delete(h.units, "b.service") }, []string{"a", "c"}},
		"after a crash also when no marker can be written": {
			func(h *host, p *Policy) { h.marker, h.writeErr = crashed, errBroken }, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").quadlet("c").quadlet("d").ran("a", "b", "c")
			p := DefaultPolicy()
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

// What is on the user-stopped list is not even in the plan.
func TestThePlanLeavesAloneWhatWasStopped(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b")
	view := Look(t.Context(), h, h, nil)
	resolved := Resolve(t.Context(), view.Existing(), view, h, h)
	rows := MakePlan(view.Existing(), Holds{UserStopped: []string{"b"}}, view, resolved, DefaultPolicy())
	states := map[string]RowState{}
	for _, row := range rows {
		states[row.Name] = row.State
	}
	if diff := cmp.Diff(map[string]RowState{"a": RowQueued, "b": RowUserStopped}, states); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
}

func TestASecondInstanceChangesNothing(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}, Alive: true}
	history, _, err := live(t, h, DefaultPolicy())
	if !errors.Is(err, ErrAlreadyRunning) || !strings.Contains(err.Error(), "49") {
		t.Errorf("Run returns %v, want ErrAlreadyRunning with the PID", err)
	}
	if len(history) > 0 {
		t.Errorf("it did %q", history)
	}
}

func TestACleanBootReplacesTheSnapshotBeforeItMarks(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("files").ran("a")
	p := DefaultPolicy()
	p.CleanBootList = Patterns{"files"}
	history, _, err := live(t, h, p)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"save files", "mark", "in flight files"}
	if diff := cmp.Diff(want, history[:3]); diff != "" {
		t.Errorf("a crash in this boot would bring back the last boot's set (-want +got):\n%s", diff)
	}
}

func TestAStopInTheMiddleOfRecoveryKeepsTheMarkerAndTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
		h.marker = crashed
		h.start["a.service"] = hangs
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if err := h.service(DefaultPolicy()).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if h.marker == nil {
			t.Error("the marker is gone: the next start would not recover b")
		}
		for _, line := range h.history {
			if strings.HasPrefix(line, "READY") || strings.HasPrefix(line, "save") || line == "unmark" {
				t.Errorf("unexpected %q", line)
			}
		}
	})
}

func TestTheLastSnapshotIsTakenAtTheStop(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	during(t, h, func() {
		h.mu.Lock()
		h.plain("p", "running") // a moment before the stop
		h.mu.Unlock()
	})
	if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a", "p"}) {
		t.Errorf("the snapshot holds %q, want a and p", got)
	}
}

func TestAStopInTheMiddleOfACleanBootKeepsTheMarkerToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t).quadlet("a").quadlet("b")
		h.start["a.service"] = hangs
		p := DefaultPolicy()
		p.CleanBootList = Patterns{"a", "b"}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if err := h.service(p).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if h.marker == nil {
			t.Error("the marker is gone: the next start would leave out a")
		}
		if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the snapshot holds %q, want what this boot was to run", got)
		}
	})
}

func TestThatNothingLeavesTheSetWhileTheHostGoesDown(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	during(t, h, func() {
		h.mu.Lock()
		h.down = true
		delete(h.sightings, "a")
		h.states["a.service"] = UnitState{Loaded: true, Active: "inactive"}
		h.mu.Unlock()
	})
	if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the snapshot holds %q, want a", got)
	}
	if h.marker != nil {
		t.Error("the marker is left after a clean stop")
	}
}

func TestAContainerWhoseUnitCannotBeFoundIsLookedForAgain(t *testing.T) {
	h := newHost(t).plain("p", "exited").ran("p")
	h.marker = crashed
	h.podmanErr = errBroken
	delete(h.sightings, "p")
	during(t, h, func() {
		time.Sleep(time.Second) // of the bubble's time: podman comes up after the first attempt
		h.mu.Lock()
		h.podmanErr = nil
		h.plain("p", "exited")
		h.mu.Unlock()
		time.Sleep(time.Minute)
	})
	if got := started(h.history); !slices.Equal(got, []string{"container-p"}) {
		t.Errorf("started %q, want container-p", got)
	}
}

func TestWhatRecoveryCouldNotBringUpStaysInTheSet(t *testing.T) {
	h := newHost(t).plain("p", "exited").quadlet("q").ran("p", "q")
	h.marker = crashed
	h.start["container-p.service"] = fails
	h.start["q.service"] = fails
	_, report, err := live(t, h, DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.Summary(), "2 failed") {
		t.Errorf("summary is %q", report.Summary())
	}
	if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"p", "q"}) {
		t.Errorf("the snapshot holds %q, want both", got)
	}
}

func TestTheSnapshotFollowsTheHostWithinASecond(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	during(t, h, func() {
		for _, step := range []struct {
			change func()
			want   string
		}{
			{func() { h.plain("p", "running") }, "a p"},
			{func() { h.plain("p", "exited") }, "a"}, // stopped: exit code 0
			{func() { delete(h.sightings, "a"); h.states["a.service"] = UnitState{Loaded: true, Active: "failed"} }, "a"},
			{func() { h.podmanErr = errBroken; h.plain("p", "running") }, "a"},
			{func() { h.podmanErr = nil }, "a p"},
		} {
			h.mu.Lock()
			step.change()
			h.changes <- struct{}{}
			h.mu.Unlock()
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
			s, _ := h.Snapshot()
			if got := strings.Join(names(s.Containers), " "); got != step.want {
				t.Errorf("the snapshot holds %q, want %q", got, step.want)
			}
		}
	})
}

// The disk takes the snapshot, but not for good: the new one is read, and may be
// lost with the power. The next look saves it again, though it finds no change.
func TestASnapshotThatWasNotSyncedIsSavedAgain(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	during(t, h, func() {
		saves := func(change func()) int {
			h.mu.Lock()
			before := len(h.history)
			change()
			h.changes <- struct{}{}
			h.mu.Unlock()
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			return strings.Count(strings.Join(h.history[before:], "\n"), "save a p")
		}
		if n := saves(func() { h.syncErr = errBroken; h.plain("p", "running") }); n != 1 {
			t.Errorf("saved %d times", n)
		}
		if n := saves(func() { h.syncErr = nil }); n != 1 {
			t.Errorf("after that saved %d times", n)
		}
		if n := saves(func() {}); n != 0 {
			t.Errorf("and when it is well %d times", n)
		}
	})
}

func TestAManagerThatGoesAwayEndsTheRunAndLeavesTheMarker(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		go func() { done <- h.service(DefaultPolicy()).Run(t.Context()) }()
		synctest.Wait()
		// Its successor is up already, and knows of nothing that ran.
		h.mu.Lock()
		h.watchErr = ErrNoBus
		delete(h.sightings, "a")
		h.states["a.service"] = UnitState{Loaded: true, Active: "inactive"}
		h.changes <- struct{}{}
		h.mu.Unlock()
		time.Sleep(time.Second) // of the bubble's time
		synctest.Wait()
		close(h.changes)
		if err := <-done; !errors.Is(err, ErrNoBus) {
			t.Errorf("Run returns %v, want ErrNoBus", err)
		}
	})
	if h.marker == nil || h.marker.PID != here.PID {
		t.Errorf("the marker is %+v, want ours", h.marker)
	}
	if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the snapshot holds %q", got)
	}
}

func TestNextSet(t *testing.T) {
	last := []Container{{Name: "q", Unit: "q.service"}, {Name: "p"}}
	unit := func(active string) map[string]UnitState {
		return map[string]UnitState{"q.service": {Loaded: true, Active: active}}
	}
	exited := func(code int) []Sighting {
		return []Sighting{{Container: Container{Name: "p"}, State: "exited", ExitCode: code}}
	}
	job := func(active, job string) map[string]UnitState {
		return map[string]UnitState{"q.service": {Loaded: true, Active: active, Job: job}}
	}
	stopped := exited(137)
	stopped[0].StoppedByUser = true
	for name, c := range map[string]struct {
		sightings   []Sighting
		units       map[string]UnitState
		userStopped []string
		want        string
	}{
		"a running one joins":                                {[]Sighting{{Container: Container{Name: "new"}, State: "running"}}, nil, nil, "new"},
		"an infra container does not":                        {[]Sighting{{Container: Container{Name: "i"}, State: "running", Infra: true}}, nil, nil, ""},
		"one whose unit failed stays":                        {nil, unit("failed"), nil, "q"},
		"one that waits for its restart stays":               {nil, unit("activating"), nil, "q"},
		"one whose unit was stopped leaves":                  {nil, unit("inactive"), nil, ""},
		"one on its way down stays until it is down":         {nil, job("deactivating", "stop"), nil, "q"},
		"one that is restarted stays":                        {nil, job("inactive", "restart"), nil, "q"},
		"one that is being started stays":                    {nil, job("inactive", "start"), nil, "q"},
		"a failed one that the user stopped leaves":          {nil, unit("failed"), []string{"q"}, ""},
		"one without a unit that failed stays":               {exited(1), nil, nil, "p"},
		"one without a unit that ended well leaves":          {exited(0), nil, nil, ""},
		"one without a unit that was killed, stays":          {exited(137), nil, nil, "p"},
		"one without a unit that was killed by stop, leaves": {stopped, nil, nil, ""},
		"one without a unit that is being stopped stays":     {[]Sighting{{Container: Container{Name: "p"}, State: "stopping"}}, nil, nil, "p"},
		"one that podman does not know any more leaves":      {nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			next := NextSet(last, c.sightings, c.units, c.userStopped)
			if got := strings.Join(names(next), " "); got != c.want {
				t.Errorf("the set is %q, want %q", got, c.want)
			}
		})
	}
}

// systemd calls a unit failed also when it ended badly because it was stopped:
// then it leaves the set like any other.
func TestAFailedUnitThatWasStoppedLeavesTheSet(t *testing.T) {
	for name, c := range map[string]struct{ story, want string }{
		"it failed by itself": {"died a 1\n failed a.service", "a b"},
		"it was stopped":      {"died a 137\n failed a.service\n stopped a.service", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
			h.marker = crashed
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- h.service(DefaultPolicy()).Run(ctx) }()
				synctest.Wait()
				for range 2 { // and it stays so
					h.mu.Lock()
					delete(h.sightings, "a")
					h.states["a.service"] = UnitState{Loaded: true, Active: "failed"}
					h.events = story(c.story)
					h.changes <- struct{}{}
					h.mu.Unlock()
					time.Sleep(time.Second) // of the bubble's time
					synctest.Wait()
				}
				stop()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
			if got := strings.Join(names(h.snapshot.Containers), " "); got != c.want {
				t.Errorf("the snapshot holds %q, want %q", got, c.want)
			}
		})
	}
}

// A restart of the service, as by an upgrade, is no boot: it starts nothing
// and forgets nothing.
func TestARestartInTheSameBootStartsAndForgetsNothing(t *testing.T) {
	for name, podmanErr := range map[string]error{"podman answers": nil, "podman is broken": errBroken} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("failed").quadlet("files").quadlet("skipped")
			h.snapshot = &Snapshot{BootID: here.BootID, Containers: []Container{{Name: "failed", Unit: "failed.service"},
				{Name: "skipped", Unit: "skipped.service", Unrecovered: true}}}
			h.states["failed.service"] = UnitState{Loaded: true, Active: "failed"}
			h.podmanErr = podmanErr
			p := DefaultPolicy()
			p.CleanBootList = Patterns{"files"}
			history, _, err := live(t, h, p)
			if err != nil {
				t.Fatal(err)
			}
			if got := started(history); len(got) > 0 {
				t.Errorf("started %q", got)
			}
			if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"failed", "skipped"}) {
				t.Errorf("the snapshot holds %q", got)
			}
		})
	}
}

func TestAContainerThatIsPutOnTheListDuringRecoveryIsNotStarted(t *testing.T) {
	h := newHost(t).quadlet("db").quadlet("app").ran("app", "db")
	h.marker = crashed
	p := DefaultPolicy()
	p.Tiers = map[int]Patterns{0: {"db"}}
	h.start["db.service"] = func(context.Context, int) (Outcome, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.userStopped = []string{"app"}
		return up, nil
	}
	history, report, err := live(t, h, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := started(history); !slices.Equal(got, []string{"db"}) {
		t.Errorf("started %q", got)
	}
	if report.Counts()[RowUserStopped] != 1 {
		t.Errorf("rows are %+v", report.Rows)
	}
}

// What is no name, podman takes for the beginning of an ID.
func TestANameThatPodmanWouldTakeForAnother(t *testing.T) {
	for name, c := range map[string]struct {
		shows   Sighting // beside app
		started string
	}{
		"it is another's ID":               {Sighting{Container: Container{Name: "other"}, ID: "db7277", State: "running"}, "app"},
		"it is not":                        {Sighting{Container: Container{Name: "other"}, ID: "7277db", State: "running"}, "app db"},
		"podman knows the name":            {Sighting{Container: Container{Name: "db"}, ID: "db7277", State: "exited", ExitCode: 1}, "app db"},
		"no ID begins with a name like it": {Sighting{Container: Container{Name: "other"}, ID: "app", State: "running"}, "app db"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("db").quadlet("app").ran("app", "db")
			h.marker = crashed
			h.sightings[c.shows.Name] = c.shows
			history, report, err := live(t, h, DefaultPolicy())
			got := started(history)
			slices.Sort(got)
			if err != nil || strings.Join(got, " ") != c.started {
				t.Errorf("%v, started %q, want %q", err, got, c.started)
			}
			for _, row := range report.Rows {
				if row.Name == "db" && (row.State == RowFailed) == strings.Contains(c.started, "db") || row.State == RowFailed && !strings.Contains(row.Error, "other") {
					t.Errorf("the row is %+v", row)
				}
			}
			if !holds(h.snapshot.Containers, "db") {
				t.Errorf("the set is %+v", h.snapshot.Containers)
			}
		})
	}
}

// A container without a unit that was killed while the daemon was dead: exit
// code 137 alone does not say by whom.
func TestWhatWasKilledWhileTheDaemonWasDead(t *testing.T) {
	h := newHost(t)
	for name, code := range map[string]int{"oom": 137, "stop": 137, "quit": 2} {
		h.plain(name, "exited")
		s := h.sightings[name]
		s.ExitCode = code
		h.sightings[name] = s
	}
	h.stoppedByUser = map[string]bool{"stop": true, "quit": true}
	h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
	h.snapshot = &Snapshot{BootID: here.BootID, Containers: []Container{{Name: "oom"}, {Name: "stop"}, {Name: "quit"}}}
	h.events = story("died oom 137\n died stop 137\n died quit 2")
	history, _, err := live(t, h, DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	if got := started(history); !slices.Equal(got, []string{"container-oom"}) {
		t.Errorf("started %q", got)
	}
}

// What a recovery has brought up to date is saved though it is the set that was
// read, once: the next one has only to replay what comes after.
func TestARecoveredSetIsSavedAnew(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
	h.snapshot = &Snapshot{BootID: here.BootID, Monotonic: time.Minute, Containers: []Container{{Name: "a", Unit: "a.service"}}}
	history, _, err := live(t, h, DefaultPolicy())
	if saves := strings.Count(strings.Join(history, "\n"), "save "); err != nil || saves != 1 || h.snapshot.Monotonic != time.Hour {
		t.Errorf("%v, %d saves, the last of %s; history is %q", err, saves, h.snapshot.Monotonic, history)
	}
}

// ofBoots has the events of each boot.
type ofBoots struct {
	*host
	events map[string][]HostEvent
}

func (j ofBoots) Events(_ context.Context, boot string, _ time.Duration) ([]HostEvent, error) {
	return j.events[boot], nil
}

// What a daemon finds that is back after a crash in this boot.
func TestACrashInThisBoot(t *testing.T) {
	crash := func(t *testing.T) *host {
		h := newHost(t)
		h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
		return h
	}
	was := func(h *host, members ...Container) *host {
		h.snapshot = &Snapshot{BootID: here.BootID, Containers: members}
		return h
	}
	db, plain := Container{Name: "db", Unit: "db.service"}, Container{Name: "plain"}
	shows := func(h *host, c Container, state ContainerState, code int) {
		h.sightings[c.Name] = Sighting{Container: c, State: state, ExitCode: code}
	}
	for name, c := range map[string]struct {
		host    func(*testing.T) *host
		started string
		set     string // after it
	}{
		"a unit's stop goes on": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "deactivating", Sub: "stop", Job: "stop"}
			shows(h, db, "stopping", 0)
			h.events = story("stopping db.service")
			return h
		}, "", ""},
		"podman's stop goes on": {func(t *testing.T) *host {
			h := was(crash(t), plain)
			shows(h, plain, "stopping", 0)
			h.stoppedByUser = map[string]bool{"plain": true}
			return h
		}, "", ""},
		"podman knows of a death of which the journal does not": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "active"}
			shows(h, db, "stopped", 137)
			h.ends = map[string]time.Duration{"db.service": time.Second}
			return h
		}, "db", "db"},
		"systemd is about to restart it": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "activating", Sub: "auto-restart"}
			h.events = story("died db 0\n remove db\n ended db.service")
			return h
		}, "db", "db"},
		"someone restarts it": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "deactivating", Job: "restart"}
			h.events = story("stopping db.service\n died db 137\n remove db")
			return h
		}, "db", "db"},
		"a dead one's unit turns out to have been stopped": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "active"}
			h.events = story("died db 143\n remove db")
			h.ends, h.endAs = map[string]time.Duration{"db.service": time.Second}, "inactive"
			return h
		}, "", ""},
		"it died, and podman does not answer": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.podmanErr = errBroken
			h.states["db.service"] = UnitState{Loaded: true, Active: "active"}
			h.ends = map[string]time.Duration{"db.service": time.Second}
			h.events = story("died db 137\n remove db")
			return h
		}, "db", "db"},
		"a dead one's unit is deactivating, and was stopped": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "deactivating", Sub: "stop-post"}
			h.events = story("died db 143\n remove db")
			h.ends, h.endAs = map[string]time.Duration{"db.service": time.Second}, "inactive"
			return h
		}, "", ""},
		"a dead one ends at once when it is started": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.states["db.service"] = UnitState{Loaded: true, Active: "active"}
			h.ends = map[string]time.Duration{"db.service": time.Second}
			h.events = story("died db 137\n remove db")
			h.start["db.service"] = func(_ context.Context, attempt int) (Outcome, error) {
				if attempt > 1 {
					return up, nil
				}
				h.mu.Lock()
				defer h.mu.Unlock()
				h.states["db.service"] = UnitState{Loaded: true, Active: "inactive"}
				return Outcome{Job: "done", UnitState: h.states["db.service"]}, nil
			}
			return h
		}, "db db", "db"},
		"someone stops it before its turn comes": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db").quadlet("web"),
				Container{Name: "db", Unit: "db.service", Tier: new(0)}, Container{Name: "web", Unit: "web.service"})
			h.units["db.service"] = ContainerUnit{Unit: "db.service", Container: h.snapshot.Containers[0]}
			h.start["db.service"] = func(context.Context, int) (Outcome, error) {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.states["web.service"] = UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
				return up, nil
			}
			return h
		}, "db", "db"},
		"someone stops it before its second attempt": {func(t *testing.T) *host {
			h := was(crash(t).quadlet("db"), db)
			h.start["db.service"] = func(_ context.Context, attempt int) (Outcome, error) {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.states["db.service"] = UnitState{Loaded: true, Active: "deactivating", Job: "stop"}
				return Outcome{Job: "failed", UnitState: UnitState{Loaded: true, Active: "failed"}}, nil
			}
			return h
		}, "db", ""},
		"it was stopped in the boot before, and podman has forgotten that": {func(t *testing.T) *host {
			h := was(crash(t).plain("plain", "exited"), plain)
			h.snapshot.BootID = "b1"
			shows(h, plain, "exited", 143)
			h.inBoot, h.events = "b1", story("died plain 143")
			return h
		}, "", ""},
		"a label names a unit that runs something else": {func(t *testing.T) *host {
			h := was(crash(t))
			shows(h, Container{Name: "web", Unit: "podman-compose@p.service"}, "exited", 143)
			h.stoppedByUser = map[string]bool{"web": true}
			h.events = story("start web podman-compose@p.service\n died web 143")
			return h
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := c.host(t)
			history, report, err := live(t, h, DefaultPolicy())
			if got := strings.Join(started(history), " "); err != nil || got != c.started {
				t.Errorf("%v, started %q, want %q; rows are %+v", err, got, c.started, report.Rows)
			}
			if got := strings.Join(names(h.snapshot.Containers), " "); got != c.set {
				t.Errorf("the set is %q, want %q", got, c.set)
			}
		})
	}
}

// What the daemon knew of a member that is down need not be guessed when the host
// has crashed: the set is saved after it was looked at.
func TestAMemberThatIsDownIsSavedAsThat(t *testing.T) {
	h := newHost(t).plain("a", "running")
	h.marker = crashed
	h.snapshot = &Snapshot{BootID: "b1", Containers: []Container{{Name: "a"}}}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.service(DefaultPolicy()).Run(ctx) }()
		synctest.Wait()
		h.mu.Lock()
		h.history = nil
		h.sightings["a"] = Sighting{Container: Container{Name: "a"}, State: "exited", ExitCode: 137}
		h.mu.Unlock()
		for range 2 {
			h.changes <- struct{}{}
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
		}
		h.mu.Lock()
		if !slices.Equal(h.history, []string{"save a"}) {
			t.Errorf("done was %q, want one save", h.history)
		}
		h.mu.Unlock()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A unit that stays active though its container is gone is not one that is up.
func TestAUnitThatOutlivesItsContainer(t *testing.T) {
	h := newHost(t).quadlet("db")
	h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
	h.snapshot = &Snapshot{BootID: here.BootID, Containers: []Container{{Name: "db", Unit: "db.service"}}}
	h.states["db.service"] = UnitState{Loaded: true, Active: "active", Sub: "exited"}
	h.events = story("died db 137")
	h.ends = map[string]time.Duration{"db.service": time.Hour}
	h.idle = true
	_, report, err := live(t, h, DefaultPolicy())
	if err != nil || len(report.Rows) != 1 || report.Rows[0].State != RowFailed || len(report.Rows[0].Attempts) != 2 {
		t.Errorf("%v, rows are %+v", err, report.Rows)
	}
}

// A run that died before READY had no snapshot of its own: what happened in its
// boot is replayed all the same.
func TestABootThatNeverGotAsFarAsReady(t *testing.T) {
	run := func(t *testing.T, h *host, events map[string][]HostEvent) []string {
		synctest.Test(t, func(t *testing.T) {
			s := h.service(DefaultPolicy())
			s.Journal = ofBoots{h, events}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			time.Sleep(time.Minute) // of the bubble's time
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return started(h.history)
	}
	t.Run("this one", func(t *testing.T) {
		h := newHost(t).quadlet("db").plain("plain", "exited")
		h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
		h.snapshot = &Snapshot{BootID: "b1", Containers: []Container{{Name: "db", Unit: "db.service"}, {Name: "plain"}}}
		h.sightings["plain"] = Sighting{Container: Container{Name: "plain"}, State: "exited", ExitCode: 143}
		h.stoppedByUser = map[string]bool{"plain": true}
		got := run(t, h, map[string][]HostEvent{here.BootID: story("start db db.service\n start plain\n stopping db.service\n died db 0\n ended db.service\n stopped db.service\n died plain 143")})
		if len(got) > 0 {
			t.Errorf("started %q, which were stopped", got)
		}
	})
	t.Run("the last one", func(t *testing.T) {
		h := newHost(t).quadlet("db").quadlet("new")
		h.marker = &Marker{Identity: Identity{BootID: "b1", PID: 40}}
		h.snapshot = &Snapshot{BootID: "b0", Containers: []Container{{Name: "db", Unit: "db.service"}}}
		got := run(t, h, map[string][]HostEvent{"b1": story("start new new.service")})
		slices.Sort(got)
		if !slices.Equal(got, []string{"db", "new"}) {
			t.Errorf("started %q", got)
		}
	})
}

// Containers that are killed together with the daemon are being cleaned up when
// the next one is there: podman may list them as running, and their units are
// active still.
func TestWhatIsBeingCleanedUpIsNotTakenForRunning(t *testing.T) {
	for name, c := range map[string]struct {
		ends  time.Duration // the unit of db
		after time.Duration // then db is started
	}{
		"its unit ends":       {3 * time.Second, 3 * time.Second},
		"its unit ends never": {time.Hour, endWithin},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("db").ran("db")
			h.plain("plain", "exited")
			h.states["db.service"] = UnitState{Loaded: true, Active: "active", Sub: "running"}
			h.stale = []Sighting{
				{Container: Container{Name: "db", Unit: "db.service"}, State: "running"},
				{Container: Container{Name: "plain"}, State: "running"},
			}
			h.sightings["plain"] = Sighting{Container: Container{Name: "plain"}, State: "exited", ExitCode: 137}
			h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 49}}
			h.snapshot = &Snapshot{BootID: here.BootID, Containers: []Container{{Name: "db", Unit: "db.service"}, {Name: "plain"}}}
			h.events = story("died db 137\n died plain 137\n remove db")
			h.ends = map[string]time.Duration{"db.service": c.ends}
			_, report, err := live(t, h, DefaultPolicy())
			if err != nil || len(report.Rows) != 2 {
				t.Errorf("%v, rows are %+v", err, report.Rows)
			}
			for _, row := range report.Rows {
				if row.State != RowUp {
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
func TestAUsersManagerThatGoesDownDuringRecovery(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	h.start["a.service"] = func(context.Context, int) (Outcome, error) { return Outcome{}, ErrGoingDown }
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := h.service(DefaultPolicy()).Run(t.Context()); !errors.Is(err, ErrNoBus) {
			t.Errorf("Run returns %v", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("after %s", took)
		}
	})
	if h.marker == nil || h.marker.PID != here.PID {
		t.Errorf("the marker is %+v, want ours", h.marker)
	}
}

// The journal decides nothing, so nothing waits for it.
func TestAJournalThatHangsHoldsNothingUp(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	synctest.Test(t, func(t *testing.T) {
		s := h.service(DefaultPolicy())
		s.Journal = hungJournal{h}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if got := started(h.history); !slices.Equal(got, []string{"a"}) || s.Phase() != Ready {
			t.Errorf("started %q, %s", got, s.Phase())
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

type hungJournal struct{ *host }

func (hungJournal) BootEnd(ctx context.Context, _, _ string) (BootEnd, error) {
	<-ctx.Done()
	return BootEnd{}, ctx.Err()
}

// Podman's storage may lie on a disk that is not there yet: then it knows of
// nothing, and nothing is forgotten for it.
func TestASetThatNobodyKnowsIsKept(t *testing.T) {
	h := newHost(t).ran("a", "b")
	h.marker = crashed
	if _, _, err := live(t, h, DefaultPolicy()); err != nil {
		t.Fatal(err)
	}
	if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the snapshot holds %q", got)
	}
}

func TestTierOf(t *testing.T) {
	one, nine := 1, 9
	p := DefaultPolicy()
	p.Tiers = map[int]Patterns{0: {"btcpay-db", "*-postgres"}, 2: {"lnd", "archy-electrs"}}
	for name, c := range map[string]struct {
		container Container
		want      int
	}{
		"by configuration":                    {Container{Name: "lnd"}, 2},
		"configuration goes before the label": {Container{Name: "lnd", Tier: &nine}, 2},
		"by pattern":                          {Container{Name: "penpot-postgres"}, 0},
		"the prefix archy- is ignored":        {Container{Name: "archy-btcpay-db"}, 0},
		"also in the configuration":           {Container{Name: "electrs"}, 2},
		"by label":                            {Container{Name: "x", Tier: &one}, 1},
		"by default":                          {Container{Name: "x"}, 3},
		"a name is not matched in its middle": {Container{Name: "lnd-ui"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.TierOf(c.container); got != c.want {
				t.Errorf("tier %d, want %d", got, c.want)
			}
		})
	}
}

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
		"after a crash nothing that neither podman nor a unit knows": {
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

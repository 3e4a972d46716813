package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/recovertest"
	"archy-recovery/internal/recover/survey"
)

// running runs a service on h, under synctest, and stops it in order after do.
func running(t *testing.T, h *recovertest.Host, log io.Writer, do func(s *Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for id := range h.ScopeEnds { // channels of the bubble
			h.ScopeEnds[id] = make(chan struct{})
		}
		for unit := range h.Lives {
			h.Lives[unit] = make(chan recover.Life)
		}
		for name := range h.Stuck {
			h.Stuck[name] = make(chan struct{})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		w := worldOf(h)
		w.Log = slog.New(slog.NewTextHandler(log, nil))
		s := New(w, oncePolicy(), recovertest.Here)
		go func() { done <- s.Run(ctx) }()
		do(s)
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// rowOf is the row of a container as the report has it.
func rowOf(s *Service, name string) recover.Row {
	status, _ := s.Status()
	for _, row := range status.Recovery.Rows {
		if row.Name == name {
			return row
		}
	}
	return recover.Row{}
}

// plainHost has plain containers with IDs, which podman start starts at once, and whose
// scopes end when a test says so.
func plainHost(names ...string) *recovertest.Host {
	h := recovertest.NewHost().Ran(names...)
	h.Marker = recovertest.Crashed
	h.ScopeEnds = map[string]chan struct{}{}
	for _, name := range names {
		h.Plain(name, "exited")
		s := h.Sightings[name]
		s.ID = "id-" + name
		h.Sightings[name] = s
		h.Start["container-"+name+".service"] = func(context.Context, int) (recover.Outcome, error) {
			return recovertest.Begun, nil
		}
	}
	return h
}

// ends has the container of a name end as the sighting says.
func ends(h *recovertest.Host, name string, how func(*recover.Sighting)) {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	s := h.Sightings[name]
	how(&s)
	h.Sightings[name] = s
	close(h.ScopeEnds[s.ID])
}

func exits(code int) func(*recover.Sighting) {
	return func(s *recover.Sighting) { s.State, s.ExitCode = recover.StateExited, code }
}

// What becomes of a plain container after READY.
func TestPlainContainerAfterReady(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(h *recovertest.Host)
		state   recover.RowState
		now     recover.NowState
	}{
		"it ends": {func(h *recovertest.Host) { ends(h, "a", exits(3)) }, recover.RowFell, recover.NowDown},
		"it is stopped": {func(h *recovertest.Host) {
			h.Set(func() { h.StoppedByUser = map[string]bool{"a": true} })
			ends(h, "a", exits(137))
		}, recover.RowUserStopped, recover.NowDown},
		"the host goes down": {func(h *recovertest.Host) {
			h.Set(func() {
				h.StoppedByUser = map[string]bool{"a": true}
				h.States["shutdown.target"] = recover.UnitState{Loaded: true, Active: "inactive", Job: "start"}
			})
			ends(h, "a", exits(137))
		}, recover.RowUp, recover.NowUnknown},
		"the host goes down, and systemd ends its scope": {func(h *recovertest.Host) {
			h.Set(func() {
				h.States["shutdown.target"] = recover.UnitState{Loaded: true, Active: "inactive", Job: "start"}
			})
			ends(h, "a", exits(143))
		}, recover.RowUp, recover.NowUnknown},
		"podman restarts it": {func(h *recovertest.Host) {
			ends(h, "a", func(s *recover.Sighting) { s.Restarts = 1 })
			h.Set(func() { h.ScopeEnds["id-a"] = make(chan struct{}) })
		}, recover.RowRestarting, recover.NowRunning},
		"podman cleans up, and restarts it then": {func(h *recovertest.Host) {
			ends(h, "a", func(s *recover.Sighting) { s.State = recover.StateStopped })
			time.Sleep(300 * time.Millisecond)
			h.Set(func() {
				h.ScopeEnds["id-a"] = make(chan struct{})
				s := h.Sightings["a"]
				s.State, s.Restarts = recover.StateRunning, 1
				h.Sightings["a"] = s
			})
		}, recover.RowRestarting, recover.NowRunning},
		"podman cannot be asked": {func(h *recovertest.Host) {
			ends(h, "a", exits(1))
			h.Set(func() { h.PodmanErr = recovertest.ErrBroken })
		}, recover.RowUp, recover.NowUnknown},
		"it is stuck": {func(h *recovertest.Host) {
			h.Set(func() { h.Stuck = map[string]chan struct{}{"a": make(chan struct{})} })
			ends(h, "a", exits(1))
			time.Sleep(survey.AnswerWithin)
		}, recover.RowUp, recover.NowUnknown},
		"it was removed": {func(h *recovertest.Host) {
			ends(h, "a", exits(1))
			h.Set(func() { delete(h.Sightings, "a") })
		}, recover.RowFell, recover.NowDown},
	} {
		t.Run(name, func(t *testing.T) {
			h := plainHost("a", "b")
			h.ScopeEnds["id-a"], h.ScopeEnds["id-b"] = make(chan struct{}), make(chan struct{})
			running(t, h, io.Discard, func(s *Service) {
				untilReady(s)
				time.Sleep(time.Second)
				began := time.Now()
				c.happens(h)
				time.Sleep(time.Second)
				synctest.Wait()
				if row := rowOf(s, "a"); row.State != c.state {
					t.Errorf("after %s a is %s (%s), want %s", time.Since(began), row.State, row.Error, c.state)
				}
				if row := rowOf(s, "b"); row.State != recover.RowUp {
					t.Errorf("b is %s", row.State)
				}
				status, _ := s.Status()
				if status.Now["a"] != c.now || status.Now["b"] != recover.NowRunning {
					t.Errorf("now they are %v, want a %s", status.Now, c.now)
				}
				if n := h.Tries["container-a.service"]; n != 1 {
					t.Errorf("started %d times", n)
				}
			})
		})
	}
}

// podman start that has ended well has started the container, and podman is not asked.
func TestPodmanStartIsBelieved(t *testing.T) {
	h := plainHost("web")
	lists := 0
	h.OnList = func() error { lists++; return nil }
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		synctest.Wait()
		if row := rowOf(s, "web"); row.State != recover.RowUp || lists != 2 { // for the plan, and the first look
			t.Errorf("web is %s (%s), after %d lists", row.State, row.Error, lists)
		}
	})
}

// A start that hangs in podman costs no other container anything.
func TestStuckContainer(t *testing.T) {
	var names []string
	for i := range 11 {
		names = append(names, fmt.Sprint("c", i))
	}
	h := plainHost(append(names, "stuck")...)
	for _, name := range names {
		h.ScopeEnds["id-"+name] = make(chan struct{})
	}
	h.Start["container-stuck.service"] = func(ctx context.Context, n int) (recover.Outcome, error) {
		h.Set(func() { h.Stuck = map[string]chan struct{}{"stuck": make(chan struct{})} })
		return recovertest.Hangs(ctx, n)
	}
	var log bytes.Buffer
	running(t, h, &log, func(s *Service) {
		began := time.Now()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, name := range names {
			if row := rowOf(s, name); row.State != recover.RowUp || len(row.Attempts) != 1 {
				t.Errorf("after 5 s %s is %s (%s), %d attempts", name, row.State, row.Error, len(row.Attempts))
			}
		}
		untilReady(s)
		p := recover.DefaultPolicy()
		if took := time.Since(began); took > p.FirstAttempt+p.RetryPause+p.SecondAttempt+time.Second {
			t.Errorf("READY after %s", took)
		}
		time.Sleep(11 * time.Second) // the list and the stuck one are asked for 5 s each
		synctest.Wait()
		status, _ := s.Status()
		if row := rowOf(s, "stuck"); row.State != recover.RowFailed || status.Now["stuck"] != recover.NowUnknown {
			t.Errorf("stuck is %s, now %s", row.State, status.Now["stuck"])
		}
		if n := len(status.Set.Containers); n != 12 {
			t.Errorf("the set has %d members", n)
		}
		// Another one dies and a new one starts: both are seen within a second.
		h.Mu.Lock()
		c0 := h.Sightings["c0"]
		c0.State = recover.StateExited // with 0: it was stopped
		h.Sightings["c0"] = c0
		h.Plain("new", "running")
		h.Events = recovertest.Story("start new")
		h.Changes <- struct{}{}
		h.Mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		status, _ = s.Status()
		if status.Now["c0"] != recover.NowDown || status.Now["new"] != recover.NowRunning {
			t.Errorf("now they are %v", status.Now)
		}
		got := strings.Join(recovertest.Names(status.Set.Containers), " ")
		if want := "c1 c10 c2 c3 c4 c5 c6 c7 c8 c9 new stuck"; got != want {
			t.Errorf("the set is %q, want %q", got, want)
		}
		h.Mu.Lock()
		if h.MostListing > 1 {
			t.Errorf("%d lists at once", h.MostListing)
		}
		h.Mu.Unlock()
	})
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `msg="not recovered`) && !strings.Contains(line, "container=stuck") {
			t.Errorf("called failed: %s", line)
		}
	}
}

// A container that is stuck before the daemon starts again holds up the plan for a few
// seconds only.
func TestStuckContainerAtAssess(t *testing.T) {
	for name, bootID := range map[string]string{"the daemon was killed": recovertest.Here.BootID, "power cut": "b1"} {
		t.Run(name, func(t *testing.T) {
			h := plainHost("a", "b", "stuck")
			h.Snapshot.BootID = bootID
			h.Marker = &recover.Marker{Identity: recover.Identity{BootID: bootID, PID: 49}}
			h.Stuck = map[string]chan struct{}{"stuck": make(chan struct{})}
			h.PodmanFirst = true
			running(t, h, io.Discard, func(s *Service) {
				time.Sleep(2*survey.AnswerWithin + time.Second)
				synctest.Wait()
				for _, name := range []string{"a", "b"} {
					if row := rowOf(s, name); row.State != recover.RowUp {
						t.Errorf("%s is %s (%s)", name, row.State, row.Error)
					}
				}
				h.Mu.Lock()
				close(h.Stuck["stuck"])
				h.Mu.Unlock()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if row := rowOf(s, "stuck"); row.State != recover.RowUp || len(row.Attempts) != 1 {
					t.Errorf("stuck is %s (%s), %d attempts", row.State, row.Error, len(row.Attempts))
				}
			})
		})
	}
}

// A member whose lock was taken when the daemon started again, and that turns out to run, has not failed. One that
// died meanwhile stays a member until podman says whether it was stopped.
func TestStuckContainerAnswersLater(t *testing.T) {
	for name, c := range map[string]struct {
		state recover.ContainerState
		story string
		code  int
		by    bool // it was stopped by a user
		tries int
		want  recover.RowState
		set   string
	}{
		"it runs":        {"running", "", 0, false, 0, recover.RowUp, "a stuck"},
		"it was killed":  {"exited", "died stuck 137", 137, false, 1, recover.RowUp, "a stuck"},
		"it was stopped": {"exited", "died stuck 137", 137, true, 0, recover.RowUserStopped, "a"},
		"it ended well":  {"exited", "died stuck 0", 0, false, 0, recover.RowUserStopped, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			h := plainHost("a", "stuck")
			now := h.Sightings["stuck"]
			now.State, now.ExitCode = c.state, c.code
			h.Sightings["stuck"] = now
			h.StoppedByUser = map[string]bool{"stuck": c.by}
			h.Snapshot.BootID = recovertest.Here.BootID
			h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
			h.Events = recovertest.Story(c.story)
			h.Stuck = map[string]chan struct{}{"stuck": make(chan struct{})}
			running(t, h, io.Discard, func(s *Service) {
				time.Sleep(2*survey.AnswerWithin + time.Second)
				h.Set(func() { close(h.Stuck["stuck"]) })
				untilReady(s)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if row := rowOf(s, "stuck"); row.State != c.want {
					t.Errorf("it is %s (%s)", row.State, row.Error)
				}
				h.Mu.Lock()
				defer h.Mu.Unlock()
				if n := h.Tries["container-stuck.service"]; n != c.tries {
					t.Errorf("started %d times", n)
				}
				if got := strings.Join(recovertest.Names(h.Snapshot.Containers), " "); got != c.set {
					t.Errorf("the set is %q", got)
				}
			})
		})
	}
}

// Failures are explained together, and each entry of the journal says why.
func TestFailuresExplained(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	h.Written = map[string][]diagnosis.Line{}
	for _, name := range []string{"a", "b"} {
		h.Start[name+".service"] = func(context.Context, int) (recover.Outcome, error) {
			o := recovertest.Failed
			o.MainPID, o.Invocation = 77, "1a2b"
			return o, nil
		}
		h.Written[name] = []diagnosis.Line{{Comm: "podman", Transport: "stdout",
			Message: "Error: localhost/example/" + name + ":1: image not known"}}
	}
	var log bytes.Buffer
	running(t, h, &log, func(s *Service) {
		untilReady(s)
		time.Sleep(time.Second)
		for _, name := range []string{"a", "b"} {
			row := rowOf(s, name)
			for i, a := range row.Attempts {
				if a.Why == nil || len(a.Why.Output) != 1 {
					t.Errorf("attempt %d of %s is not explained: %+v", i+1, name, a.Why)
				}
			}
		}
		if len(h.Asked) != 2 || len(h.Asked[0]) != 2 {
			t.Errorf("asked %d times: %v", len(h.Asked), h.Asked)
		} else if a := h.Asked[0][0]; a.MainPID != 77 || a.InvocationID != "1a2b" || a.Unit == "" || a.Container == "" {
			t.Errorf("asked for %+v", a)
		}
	})
	for _, want := range []string{`msg="not recovered: `, "to be tried once more: "} {
		lines := slices.DeleteFunc(strings.Split(log.String(), "\n"),
			func(l string) bool { return !strings.Contains(l, want) })
		if len(lines) != 2 || !strings.Contains(lines[0], "example/") {
			t.Errorf("logged %q of %q", lines, want)
		}
	}
	// The cause has an entry of its own, once.
	if n := strings.Count(log.String(), "MESSAGE_ID="+diagnosis.MessageID("image-missing")); n != 2 {
		t.Errorf("the cause of two containers is logged %d times: %s", n, log.String())
	}
}

// knownPorts tells what has a port.
type knownPorts struct{ sockets, containers map[int]string }

func (p knownPorts) SocketOn(_ context.Context, port int) (string, error) {
	return p.sockets[port], nil
}

func (p knownPorts) PublishesPort(_ context.Context, port int) (string, error) {
	return p.containers[port], nil
}

// A port that is taken is named with what has it, where that can be found.
func TestPortHolderNamed(t *testing.T) {
	h := recovertest.NewHost()
	s := newService(h, recover.DefaultPolicy())
	s.world.Ports = knownPorts{map[int]string{80: "web.socket"}, map[int]string{80: "x", 5000: "other"}}
	starts := newStarter(s.world, s.policy, s.suspects, nil, func(string, recover.Life) {})
	for port, want := range map[string]string{
		"80": "is taken: web.socket listens on it", "5000": "is taken: container other publishes it", "81": "81 is taken",
	} {
		h.Written = map[string][]diagnosis.Line{"a": {{Comm: "podman", Transport: "stdout",
			Message: "Error: rootlessport listen tcp 0.0.0.0:" + port + ": bind: address already in use"}}}
		e := starts.Explain(t.Context(), recover.Row{Name: "a", Unit: "a.service", Attempts: []recover.Attempt{{}}})
		if e.Reason != "port-taken" || !strings.HasSuffix(e.Cause, want) {
			t.Errorf("%s: %+v, want %q", port, e, want)
		}
	}
}

// The report is written at READY, at the soak's end, and then at most every 5 minutes;
// STATUS= stays true.
func TestFallAmendsReport(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	h.Lives = map[string]chan recover.Life{"a.service": make(chan recover.Life)}
	var log bytes.Buffer
	running(t, h, &log, func(s *Service) {
		untilReady(s)
		synctest.Wait() // until READY's report is written
		onDisk := func() recover.RowState {
			reports, _ := s.Reports()
			return reports[0].Rows[0].State
		}
		h.Set(func() {
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "failed", Sub: "failed"}
			delete(h.Sightings, "a")
		})
		h.Lives["a.service"] <- recover.Life{State: recover.LifeEnded, ExitCode: 7, Result: "exit-code"}
		synctest.Wait()
		if row := rowOf(s, "a"); row.State != recover.RowFell || row.Attempts[0].Fell.ExitCode != 7 {
			t.Errorf("a is %+v", row)
		}
		if status, _ := s.Status(); status.Now["a"] != recover.NowDown {
			t.Errorf("now they are %v", status.Now)
		}
		h.Mu.Lock()
		if !strings.Contains(h.Status, "1 fell") {
			t.Errorf("STATUS=%s", h.Status)
		}
		h.Mu.Unlock()
		time.Sleep(recover.DefaultPolicy().Soak - time.Second)
		synctest.Wait()
		if state := onDisk(); state != recover.RowUp {
			t.Errorf("in its soak it is %s on disk", state)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if state := onDisk(); state != recover.RowFell {
			t.Errorf("after its soak it is %s on disk", state)
		}
	})
	if !strings.Contains(log.String(), recover.MsgFell) {
		t.Errorf("the fall is not logged: %s", log.String())
	}
}

// READY says how many run at that moment: also of a container that has ended since its soak, while
// another one is still being started.
func TestReadyCountsWhatRuns(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("slow").Ran("a", "slow")
	h.Marker = recovertest.Crashed
	h.Start["slow.service"] = recovertest.UpAfter(time.Minute)
	h.Lives = map[string]chan recover.Life{"a.service": make(chan recover.Life)}
	running(t, h, io.Discard, func(s *Service) {
		time.Sleep(recover.DefaultPolicy().Soak + 10*time.Second)
		select {
		case h.Lives["a.service"] <- recover.Life{State: recover.LifeEnded, ExitCode: 1, Result: "exit-code"}:
		case <-time.After(time.Minute):
			t.Error("nobody follows a before READY")
		}
		untilReady(s)
		synctest.Wait()
		if row := rowOf(s, "a"); row.State != recover.RowUp || row.Made() != 1 {
			t.Errorf("a is %s after %d attempts: its end after the soak is no part of recovery", row.State, row.Made())
		}
	})
	want := "READY complete: 2 containers were up, 2 of them started; 1 run now"
	if !slices.Contains(h.History, want) {
		t.Errorf("want %q in\n%s", want, strings.Join(h.History, "\n"))
	}
}

// A verdict's cause that is known after READY does not put off what the soak's end brings.
func TestFallAfterLateCause(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.Lives = map[string]chan recover.Life{"a.service": make(chan recover.Life)}
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		time.Sleep(time.Second)
		s.history.save() // as explain does
		h.Lives["a.service"] <- recover.Life{State: recover.LifeEnded, ExitCode: 7, Result: "exit-code"}
		time.Sleep(recover.DefaultPolicy().Soak)
		synctest.Wait()
		if reports, _ := s.Reports(); reports[0].Rows[0].State != recover.RowFell {
			t.Errorf("after its soak it is %s on disk", reports[0].Rows[0].State)
		}
	})
}

// A member whose unit runs to its end is a job. It leaves when it has ended, also badly,
// and one that has failed is not started.
func TestJobInSet(t *testing.T) {
	h := recovertest.NewHost().Quadlet("backup").Quadlet("a").Ran("a", "backup")
	u := h.Units["backup.service"]
	u.Job = true
	h.Units["backup.service"] = u
	h.Marker = recovertest.Crashed
	h.Lives = map[string]chan recover.Life{"backup.service": make(chan recover.Life)}
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		synctest.Wait()
		if row := rowOf(s, "backup"); !row.Job || row.State != recover.RowUp {
			t.Errorf("backup is %+v", row)
		}
		status, _ := s.Status()
		if i := slices.IndexFunc(status.Set.Containers, func(c recover.Container) bool { return c.Job }); i < 0 ||
			status.Set.Containers[i].Name != "backup" {
			t.Errorf("the set is %+v", status.Set.Containers)
		}
		h.Mu.Lock()
		h.States["backup.service"] = recover.UnitState{Loaded: true, Active: "failed"}
		delete(h.Sightings, "backup")
		h.Changes <- struct{}{}
		h.Mu.Unlock()
		h.Lives["backup.service"] <- recover.Life{State: recover.LifeEnded, ExitCode: 1, Result: "exit-code"}
		time.Sleep(time.Second)
		synctest.Wait()
		status, _ = s.Status()
		if got := recovertest.Names(status.Set.Containers); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the set is %q", got)
		}
	})
}

func TestFailedJobNotStarted(t *testing.T) {
	h := recovertest.NewHost().Quadlet("backup").Quadlet("a").Ran("a", "backup")
	u := h.Units["backup.service"]
	u.Job = true
	h.Units["backup.service"] = u
	h.States["backup.service"] = recover.UnitState{Loaded: true, Active: "failed"}
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 49}}
	history, report, err := live(t, h, recover.DefaultPolicy())
	if got := started(history); err != nil || !slices.Equal(got, []string{"a"}) || len(report.Rows) != 1 {
		t.Errorf("%v: started were %q, rows %+v", err, got, report.Rows)
	}
}

// A slowNotifier tells its first status when it is let.
type slowNotifier struct {
	recovertest.Notifier
	told       atomic.Int32
	begun, let chan struct{}
}

func (n *slowNotifier) Status(status string) {
	if n.told.Add(1) == 1 {
		close(n.begun)
		<-n.let
	}
	n.Notifier.Status(status)
}

// Two changes at a time are told in their order, so that STATUS= stays true.
func TestStatusOfTwoChanges(t *testing.T) {
	h := recovertest.NewHost()
	s := newService(h, recover.DefaultPolicy())
	slow := &slowNotifier{Notifier: recovertest.Notifier{H: h}, begun: make(chan struct{}), let: make(chan struct{})}
	s.world.Notifier = slow
	s.board.change(func() {
		s.board.phase = recover.Ready
		s.board.report.Rows = []recover.Row{{Name: "a", State: recover.RowUp}, {Name: "b", State: recover.RowUp}}
	})
	var telling sync.WaitGroup
	telling.Go(s.tellStatus) // none runs now
	<-slow.begun
	second := make(chan struct{})
	telling.Go(func() {
		defer close(second)
		s.board.showNow(map[string]recover.NowState{"a": recover.NowRunning, "b": recover.NowUnknown})
		s.tellStatus()
	})
	select {
	case <-second: // it has overtaken the first
	case <-time.After(100 * time.Millisecond):
	}
	close(slow.let)
	telling.Wait()
	if want := "; 1 run now, 1 unknown"; !strings.Contains(h.Status, want) {
		t.Errorf("STATUS=%s, want %q", h.Status, want)
	}
}

// systemd counts restarts from the last start by hand, and so also those before the crash: a unit that
// systemd itself has started again is up, and has not fallen since.
func TestRestartsBeforeRecovery(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.States["a.service"] = recover.UnitState{Loaded: true, Active: "activating", Sub: "auto-restart"}
	h.NRestarts = map[string]int{"a.service": 6}
	h.Lives = map[string]chan recover.Life{"a.service": make(chan recover.Life)}
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		tell := func(restarts int, want recover.RowState, wantRestarts int) {
			t.Helper()
			h.Lives["a.service"] <- recover.Life{State: recover.LifeRuns, Restarts: restarts}
			synctest.Wait()
			if row := rowOf(s, "a"); row.State != want || row.Restarts != wantRestarts {
				t.Errorf("after %d restarts it is %s, with %d restarts", restarts, row.State, row.Restarts)
			}
			time.Sleep(time.Second)
		}
		tell(6, recover.RowUp, 0)
		tell(7, recover.RowRestarting, 1)
	})
}

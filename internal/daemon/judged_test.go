package daemon

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// The set says the same as the report of a container that ended within its soak after
// READY: what fell stays, whatever its exit code, and so does what nobody stopped.
func TestSetFollowsReport(t *testing.T) {
	end := func(code int, result string) recover.Life {
		return recover.Life{State: recover.LifeEnded, ExitCode: code, Result: result}
	}
	for name, c := range map[string]struct {
		life  recover.Life
		unit  string // its state
		story string // of podman
		state recover.RowState
		set   string
	}{
		"it ends with 0":       {end(0, "success"), "inactive", "", recover.RowFell, "a! b"},
		"it fails":             {end(1, "exit-code"), "failed", "", recover.RowFell, "a! b"},
		"systemctl stop":       {recover.Life{State: recover.LifeStopped}, "inactive", "", recover.RowUserStopped, "b"},
		"podman stop":          {end(0, "success"), "inactive", "start a; died a 0; told a", recover.RowUserStopped, "b"},
		"podman stop, and 143": {end(143, "exit-code"), "failed", "start a; died a 143; told a", recover.RowUserStopped, "b"},
		"podman stop earlier":  {end(0, "success"), "inactive", "told a; start a; died a 0", recover.RowFell, "a! b"},
		"podman stop of another": {end(0, "success"), "inactive", "start a; told b; died a 0",
			recover.RowFell, "a! b"},
		"its pod is stopped": {recover.Life{State: recover.LifeStopped, Because: "pod.service was stopped"}, "inactive",
			"told a", recover.RowSkipped, "a! b"},
		"its pod has ended": {recover.Life{State: recover.LifeEnded, Because: "pod.service has ended"}, "inactive",
			"told a", recover.RowFell, "a! b"},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
			h.Marker = recovertest.Crashed
			h.Lives = map[string]chan recover.Life{"a.service": nil}
			running(t, h, io.Discard, func(s *Service) {
				untilReady(s)
				time.Sleep(time.Second)
				becomes := func(unit string, runs bool) {
					h.Mu.Lock()
					defer h.Mu.Unlock()
					h.States["a.service"] = recover.UnitState{Loaded: true, Active: unit}
					delete(h.Sightings, "a")
					if runs {
						h.Sightings["a"] = recover.Sighting{State: recover.StateRunning,
							Container: recover.Container{Name: "a", Unit: "a.service"}}
					}
					h.Changes <- struct{}{}
				}
				wantSet := func(want string) {
					t.Helper()
					time.Sleep(2 * time.Minute) // a member that keeps changing is held back
					synctest.Wait()
					if got := setOf(h); got != want {
						t.Errorf("the set is %q, want %q", got, want)
					}
				}
				h.Set(func() { h.Events = recovertest.Story(c.story) })
				becomes(c.unit, false)
				h.Lives["a.service"] <- c.life
				time.Sleep(lookAgain + time.Millisecond) // until podman's words were read
				h.Set(func() { h.Events = nil })         // a look asks only for what came after the last one
				wantSet(c.set)
				if row := rowOf(s, "a"); row.State != c.state {
					t.Errorf("it is %s (%s), want %s", row.State, row.Error, c.state)
				}
				wantSet(c.set)
				becomes("active", true) // someone starts it
				wantSet("a b")
				becomes("inactive", false) // and stops it
				wantSet("b")
			})
		})
	}
}

// setOf is the set on disk; a member that was not recovered has a mark.
func setOf(h *recovertest.Host) string {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	var words []string
	for _, c := range h.Snapshot.Containers {
		if c.Unrecovered {
			c.Name += "!"
		}
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}

// podman cleans up for a while, and a look is faster than the engine.
func TestSetFollowsLateReport(t *testing.T) {
	h := plainHost("a", "b")
	h.ScopeEnds["id-a"], h.ScopeEnds["id-b"] = nil, nil
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		time.Sleep(time.Second)
		h.Mu.Lock()
		a := h.Sightings["a"]
		exits(0)(&a)
		h.Sightings["a"] = a
		h.Changes <- struct{}{}
		h.Mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := setOf(h); got != "b" {
			t.Errorf("before the report the set is %q", got)
		}
		ends(h, "a", exits(0))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := setOf(h); got != "a! b" || rowOf(s, "a").State != recover.RowFell {
			t.Errorf("the set is %q, and a %s", got, rowOf(s, "a").State)
		}
	})
}

// Before READY a fall is a failed attempt, but a container that podman was told to stop is not started again.
func TestPodmanStopBeforeReady(t *testing.T) {
	for story, want := range map[string]struct {
		state recover.RowState
		tries int
		set   string
	}{
		"start a; died a 0; told a": {recover.RowUserStopped, 1, "slow"},
		"start a; died a 0":         {recover.RowUp, 2, "a slow"},
	} {
		t.Run(story, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("slow").Ran("a", "slow")
			h.Marker = recovertest.Crashed
			h.Lives = map[string]chan recover.Life{"a.service": nil}
			h.Start["slow.service"] = recovertest.UpAfter(time.Minute)
			h.Events = recovertest.Story(story)
			running(t, h, io.Discard, func(s *Service) {
				time.Sleep(time.Second)
				h.Set(func() {
					h.States["a.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
					delete(h.Sightings, "a")
				})
				h.Lives["a.service"] <- recover.Life{State: recover.LifeEnded, Result: "success"}
				untilReady(s)
				time.Sleep(time.Second)
				synctest.Wait()
				if row := rowOf(s, "a"); row.State != want.state || h.Tries["a.service"] != want.tries {
					t.Errorf("it is %s (%s) after %d starts", row.State, row.Error, h.Tries["a.service"])
				}
				if got := setOf(h); got != want.set {
					t.Errorf("the set is %q, want %q", got, want.set)
				}
			})
		})
	}
}

// A container that goes while podman is asked about it does not end the look.
func TestMemberGoesDuringLook(t *testing.T) {
	h := recovertest.NewHost().Plain("a", "running").Plain("p", "running").Ran("a", "p")
	during(t, h, func() {
		h.Mu.Lock()
		h.Stale = []recover.Sighting{
			{Container: recover.Container{Name: "a"}, State: recover.StateRunning},
			{Container: recover.Container{Name: "p"}, State: recover.StateExited, ExitCode: 1},
		}
		delete(h.Sightings, "p")
		h.Changes <- struct{}{}
		h.Mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := setOf(h); got != "a" {
			t.Errorf("the set is %q", got)
		}
	})
}

// A podman that is dead answers for none of many members: the look ends in time, and
// changes nothing.
func TestLookAtManyWithDeadPodman(t *testing.T) {
	h := recovertest.NewHost()
	names := make([]string, 400)
	h.Stuck = map[string]chan struct{}{}
	for i := range names {
		names[i] = fmt.Sprint("c", i)
		h.Quadlet(names[i])
		h.States[names[i]+".service"] = recover.UnitState{Loaded: true, Active: "active"}
		h.Stuck[names[i]] = nil
	}
	h.Ran(names...)
	h.Snapshot.BootID = recovertest.Here.BootID // nothing is started
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		synctest.Wait() // the first look has begun
		began := time.Now()
		for !s.keeper.mu.TryLock() { // a wait for a mutex holds up the time of the bubble
			time.Sleep(time.Second)
		}
		s.keeper.mu.Unlock()
		status, _ := s.Status()
		if took := time.Since(began); len(status.Set.Containers) != len(names) || took > lookWithin/2 {
			t.Errorf("%d members after %s", len(status.Set.Containers), took)
		}
	})
}

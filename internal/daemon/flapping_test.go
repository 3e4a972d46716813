package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// saves are the saves of the set in a history.
func saves(history []string) []string {
	return slices.DeleteFunc(slices.Clone(history), func(line string) bool { return !strings.HasPrefix(line, "save ") })
}

// tell tells of a change, and gives a look the time for it. Of the bubble's time it
// takes as long as is said.
func tell(h *recovertest.Host, took time.Duration, change func()) {
	h.Set(change)
	select {
	case h.Changes <- struct{}{}:
	default:
	}
	time.Sleep(took)
	synctest.Wait()
}

// A container that flaps every second for an hour is saved twelve times at most,
// however it ends.
func TestFlappingIsNotSaved(t *testing.T) {
	for name, exitCode := range map[string]int{"it exits well": 0, "it fails": 1} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Plain("p", "running").Ran("a", "p")
			h.Marker = recovertest.Crashed
			during(t, h, func() {
				h.Set(func() { h.History = nil })
				up := true
				for range 3600 {
					tell(h, time.Second, func() {
						up = !up
						h.Plain("p", "running")
						if !up {
							s := h.Sightings["p"]
							s.State, s.ExitCode = recover.StateExited, exitCode
							h.Sightings["p"] = s
						}
					})
				}
				n := len(saves(h.History))
				t.Logf("saved %d times", n)
				if n > 12 || n < 3 {
					t.Errorf("saved %d times: %q", n, saves(h.History))
				}
				// It is stopped for good: that is on disk within seconds.
				tell(h, 10*time.Second, func() {
					h.Sightings["p"] = recover.Sighting{Container: recover.Container{Name: "p"}, State: recover.StateExited}
				})
				s, _ := recovertest.Store{H: h}.Snapshot()
				if got := recovertest.Names(s.Containers); !slices.Equal(got, []string{"a"}) {
					t.Errorf("after its end the snapshot holds %q", got)
				}
			})
		})
	}
}

// While one container flaps, a change of another is on disk within a second.
func TestOthersAreSavedWhileOneFlaps(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Plain("p", "running").Ran("a", "p")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		late := 0
		for second := range 1800 {
			tell(h, 500*time.Millisecond, func() {
				state := recover.StateRunning
				if second%2 == 0 {
					state = recover.StateExited
				}
				h.Plain("p", state)
			})
			if second%60 != 30 {
				time.Sleep(500 * time.Millisecond)
				continue
			}
			other := fmt.Sprintf("other-%d", second)
			tell(h, 500*time.Millisecond, func() { h.Plain(other, "running") })
			if s, _ := (recovertest.Store{H: h}).Snapshot(); !recover.HasName(s.Containers, other) {
				late++
			}
		}
		if late > 0 {
			t.Errorf("%d of 30 changes were not on disk after half a second", late)
		}
	})
}

// What was held back is saved at a stop.
func TestHeldBackIsSavedAtStop(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Plain("p", "running").Ran("a", "p")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		for i := range 18 {
			tell(h, time.Second, func() {
				h.Plain("p", []recover.ContainerState{recover.StateExited, recover.StateRunning}[i%2])
			})
		}
		s, _ := recovertest.Store{H: h}.Snapshot()
		if got := recovertest.Names(s.Containers); !slices.Equal(got, []string{"a"}) {
			t.Errorf("before the stop the snapshot holds %q: nothing was held back", got)
		}
	})
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a", "p"}) {
		t.Errorf("the snapshot holds %q, want a and p", got)
	}
}

// A container that is held back out of the set runs and then fails: it was a member when
// it failed, and stays one.
func TestHeldBackFails(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Plain("p", "running").Ran("a", "p")
	h.Marker = recovertest.Crashed
	during(t, h, func() {
		for i := range 19 { // until the set on disk is without it
			tell(h, time.Second, func() {
				h.Plain("p", []recover.ContainerState{recover.StateRunning, recover.StateExited}[i%2])
			})
		}
		tell(h, time.Second, func() { h.Plain("p", recover.StateRunning) })
		tell(h, time.Minute, func() {
			h.Sightings["p"] = recover.Sighting{Container: recover.Container{Name: "p"}, State: recover.StateExited, ExitCode: 1}
		})
		s, _ := recovertest.Store{H: h}.Snapshot()
		if got := recovertest.Names(s.Containers); !slices.Equal(got, []string{"a", "p"}) {
			t.Errorf("the snapshot holds %q, want a and p", got)
		}
	})
}

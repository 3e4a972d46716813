package recover

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever makes an image gives it labels, and a container inherits them. What
// the label names as its unit is started, and watched, only if it runs it.
func TestALabelNamesNoUnitThatDoesNotRunTheContainer(t *testing.T) {
	for unit, c := range map[string]struct {
		unit ContainerUnit // as systemd has it
		want string        // which is started
	}{
		"systemd-poweroff.service": {ContainerUnit{}, "container-evil"},
		"db.service":               {ContainerUnit{Unit: "db.service", Container: Container{Name: "db"}}, "container-evil"},
		"../../tmp/x.service":      {ContainerUnit{}, "container-evil"},
		"own.service":              {ContainerUnit{Unit: "own.service", Container: Container{Name: "evil"}}, "own"},
		"kube.service":             {ContainerUnit{Unit: "kube.service"}, "kube"},
	} {
		for from, prepare := range map[string]func(h *host){
			"podman's label":  func(h *host) {},
			"the snapshot":    func(h *host) { h.snapshot.Containers[0].Unit = unit; h.plain("evil", "exited") },
			"the journal too": func(h *host) { h.events = []HostEvent{replayedStart(unit)} },
		} {
			t.Run(unit+" by "+from, func(t *testing.T) {
				h := newHost(t).ran("evil")
				h.marker = crashed
				h.snapshot.BootID = crashed.BootID
				h.sightings["evil"] = Sighting{Container: Container{Name: "evil", Unit: unit}, State: "exited"}
				for _, loaded := range []string{unit, "db.service"} {
					h.states[loaded] = UnitState{Loaded: true, Active: "inactive"}
				}
				if c.unit.Unit != "" {
					h.units[unit] = c.unit
				}
				prepare(h)
				history, _, err := live(t, h, DefaultPolicy())
				if err != nil {
					t.Fatal(err)
				}
				if got := started(history); !slices.Equal(got, []string{c.want}) {
					t.Errorf("started %q, want %s", got, c.want)
				}
			})
		}
	}
}

func replayedStart(unit string) HostEvent {
	return ContainerStarted{Container: Container{Name: "evil", Unit: unit}}
}

// Nor does it stay in the set, when it was stopped, for a unit that is active.
func TestALabelDoesNotKeepAContainerInTheSet(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	h.states["dbus.service"] = UnitState{Loaded: true, Active: "active"}
	evil := Sighting{Container: Container{Name: "evil", Unit: "dbus.service"}, State: "running"}
	during(t, h, func() {
		for _, want := range []string{"a evil", "a"} {
			h.mu.Lock()
			h.sightings["evil"] = evil
			h.changes <- struct{}{}
			h.mu.Unlock()
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
			s, _ := h.Snapshot()
			if got := strings.Join(names(s.Containers), " "); got != want {
				t.Errorf("the snapshot holds %q, want %q", got, want)
			}
			evil.State = "exited" // with 0
		}
	})
}

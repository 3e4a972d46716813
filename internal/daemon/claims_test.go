package daemon

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// An image has labels, and its containers inherit them. The unit that a label
// names is started, and watched, only if it runs the container.
func TestLabelNamesForeignUnit(t *testing.T) {
	for unit, c := range map[string]struct {
		unit recover.ContainerUnit // as systemd has it
		want string                // which is started
	}{
		"systemd-poweroff.service": {recover.ContainerUnit{}, "container-evil"},
		"db.service": {
			recover.ContainerUnit{Unit: "db.service", Container: recover.Container{Name: "db"}}, "container-evil",
		},
		"../../tmp/x.service": {recover.ContainerUnit{}, "container-evil"},
		"own.service": {
			recover.ContainerUnit{Unit: "own.service", Container: recover.Container{Name: "evil"}}, "own",
		},
		"kube.service": {recover.ContainerUnit{Unit: "kube.service"}, "kube"},
	} {
		for from, prepare := range map[string]func(h *recovertest.Host){
			"podman's label":  func(h *recovertest.Host) {},
			"the snapshot":    func(h *recovertest.Host) { h.Snapshot.Containers[0].Unit = unit; h.Plain("evil", "exited") },
			"the journal too": func(h *recovertest.Host) { h.Events = []recover.HostEvent{replayedStart(unit)} },
		} {
			t.Run(unit+" by "+from, func(t *testing.T) {
				h := recovertest.NewHost().Ran("evil")
				h.Marker = recovertest.Crashed
				h.Snapshot.BootID = recovertest.Crashed.BootID
				h.Sightings["evil"] = recover.Sighting{Container: recover.Container{Name: "evil", Unit: unit}, State: "exited"}
				for _, loaded := range []string{unit, "db.service"} {
					h.States[loaded] = recover.UnitState{Loaded: true, Active: "inactive"}
				}
				if c.unit.Unit != "" {
					h.Units[unit] = c.unit
				}
				prepare(h)
				history, _, err := live(t, h, recover.DefaultPolicy())
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

func replayedStart(unit string) recover.HostEvent {
	return recover.ContainerStarted{Container: recover.Container{Name: "evil", Unit: unit}}
}

// Nor does it stay in the set, when it was stopped, for a unit that is active.
func TestLabelKeepsNothingInTheSet(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.States["dbus.service"] = recover.UnitState{Loaded: true, Active: "active"}
	evil := recover.Sighting{Container: recover.Container{Name: "evil", Unit: "dbus.service"}, State: "running"}
	during(t, h, func() {
		for _, want := range []string{"a evil", "a"} {
			h.Mu.Lock()
			h.Sightings["evil"] = evil
			h.Changes <- struct{}{}
			h.Mu.Unlock()
			time.Sleep(time.Second) // of the bubble's time
			synctest.Wait()
			s, _ := recovertest.Store{H: h}.Snapshot()
			if got := strings.Join(recovertest.Names(s.Containers), " "); got != want {
				t.Errorf("the snapshot holds %q, want %q", got, want)
			}
			evil.State = "exited" // with 0
		}
	})
}

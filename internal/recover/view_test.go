package recover

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// To list all units keeps systemd from starting any for a while: only a
// container that no unit of the snapshot runs is worth it.
func TestAllUnitsAreListedOnlyWhereNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(h *host)
		listings int
		started  []string // units
	}{
		"each runs in the unit that the snapshot names": {
			func(h *host) {}, 0, []string{"a", "b"}},
		"one has no unit in the snapshot": {
			func(h *host) { h.snapshot.Containers[1].Unit = "" }, 1, []string{"a", "b"}},
		"one has another unit now": {
			func(h *host) {
				delete(h.units, "b.service")
				delete(h.states, "b.service")
				h.units["new.service"] = ContainerUnit{"new.service", Container{Name: "b"}}
				h.states["new.service"] = UnitState{Loaded: true, Active: "inactive"}
			}, 1, []string{"a", "new"}},
		"one was started after the snapshot": {
			func(h *host) {
				h.quadlet("c")
				h.snapshot.BootID = "another boot"
				h.events = story("start c")
			}, 1, []string{"a", "b", "c"}},
		"one is quarantined, which is not in the set": {
			func(h *host) {
				h.quadlet("c")
				h.definition = map[string]string{"c.service": "as it was"}
				h.quarantine = Quarantine{{Name: "c", Strikes: 2, Quarantined: true, Fingerprint: "another"}}
			}, 1, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
			h.marker = crashed
			for i := range h.snapshot.Containers {
				c := &h.snapshot.Containers[i]
				c.Unit = c.Name + ".service"
			}
			c.prepare(h)
			history, _, err := live(t, h, DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if h.listings != c.listings {
				t.Errorf("listed all units %d times, want %d", h.listings, c.listings)
			}
			if diff := cmp.Diff(c.started, slices.Sorted(slices.Values(started(history)))); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
			if len(h.quarantine) > 0 && h.quarantine[0].Quarantined {
				t.Error("a changed unit gives no second chance")
			}
		})
	}
}

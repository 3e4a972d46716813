package recover

import (
	"slices"
	"testing"
	"time"

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

// After a boot podman takes a while to answer. What has a unit starts meanwhile.
func TestPodmanIsWaitedForOnlyWhereNeeded(t *testing.T) {
	const podmanTakes = 5 * time.Second
	for name, c := range map[string]struct {
		prepare func(h *host)
		waits   bool
	}{
		"each runs in the unit that the snapshot names": {func(h *host) {}, false},
		"podman breaks then":                            {func(h *host) { h.podmanErr = errBroken }, false},
		"podman must not be beside the starts":          {func(h *host) { h.podmanFirst = true }, true},
		"one has no unit": {func(h *host) {
			h.plain("c", "exited")
			h.snapshot.Containers = append(h.snapshot.Containers, Container{Name: "c"})
		}, true},
		"the boot of the snapshot is not known":     {func(h *host) { h.snapshot.BootID = "" }, true},
		"it is the same boot":                       {func(h *host) { h.snapshot.BootID = here.BootID }, true},
		"someone is suspected":                      {func(h *host) { h.quarantine = Quarantine{{Name: "x", Strikes: 1}} }, true},
		"who is suspected is not known":             {func(h *host) { h.quarantineErr = errBroken }, true},
		"the last run was stopped, and all is kept": {func(h *host) { h.marker = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").ran("a")
			h.marker, h.podmanTakes = crashed, podmanTakes
			h.snapshot.BootID, h.snapshot.Containers[0].Unit = "b1", "a.service"
			c.prepare(h)
			p := DefaultPolicy()
			p.CleanBoot = CleanBootRestore
			_, report, err := live(t, h, p)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(report.Rows, func(r Row) bool { return r.Name == "a" })
			if i < 0 || report.Rows[i].State != RowUp {
				t.Fatalf("rows %+v", report.Rows)
			}
			if after := report.Rows[i].Started().Sub(report.Started); after >= podmanTakes != c.waits {
				t.Errorf("started after %s, while podman takes %s", after, podmanTakes)
			}
		})
	}
}

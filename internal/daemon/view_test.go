package daemon

import (
	"slices"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// To list all units keeps systemd from starting any for a while: only a
// container that no unit of the snapshot runs is worth it.
func TestAllUnitsListedIfNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(h *recovertest.Host)
		listings int
		started  []string // units
	}{
		"each runs in the unit that the snapshot names": {
			func(h *recovertest.Host) {}, 0, []string{"a", "b"}},
		"one has no unit in the snapshot": {
			func(h *recovertest.Host) { h.Snapshot.Containers[1].Unit = "" }, 1, []string{"a", "b"}},
		"one has another unit now": {
			func(h *recovertest.Host) {
				delete(h.Units, "b.service")
				delete(h.States, "b.service")
				h.Units["new.service"] = recover.ContainerUnit{Unit: "new.service", Container: recover.Container{Name: "b"}}
				h.States["new.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
			}, 1, []string{"a", "new"}},
		"one was started after the snapshot": {
			func(h *recovertest.Host) {
				h.Quadlet("c")
				h.Snapshot.BootID = "another boot"
				h.Events = recovertest.Story("start c")
			}, 1, []string{"a", "b", "c"}},
		"one is quarantined, which is not in the set": {
			func(h *recovertest.Host) {
				h.Quadlet("c")
				h.Definition = map[string]string{"c.service": "as it was"}
				h.Quarantine = recover.Quarantine{{Name: "c", Strikes: 2, Quarantined: true, Fingerprint: "another"}}
			}, 1, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
			h.Marker = recovertest.Crashed
			for i := range h.Snapshot.Containers {
				c := &h.Snapshot.Containers[i]
				c.Unit = c.Name + ".service"
			}
			c.prepare(h)
			history, _, err := live(t, h, recover.DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if h.Listings != c.listings {
				t.Errorf("listed all units %d times, want %d", h.Listings, c.listings)
			}
			if diff := cmp.Diff(c.started, slices.Sorted(slices.Values(started(history)))); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
			if len(h.Quarantine) > 0 && h.Quarantine[0].Quarantined {
				t.Error("a changed unit gives no second chance")
			}
		})
	}
}

// After a boot podman takes a while to answer. What has a unit starts meanwhile.
func TestPodmanAwaitedIfNeeded(t *testing.T) {
	const podmanTakes = 5 * time.Second
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host)
		waits   bool
	}{
		"each runs in the unit that the snapshot names": {func(h *recovertest.Host) {}, false},
		"podman breaks then": {
			func(h *recovertest.Host) { h.PodmanErr = recovertest.ErrBroken }, false,
		},
		"podman must not be beside the starts": {func(h *recovertest.Host) { h.PodmanFirst = true }, true},
		"one has no unit": {func(h *recovertest.Host) {
			h.Plain("c", "exited")
			h.Snapshot.Containers = append(h.Snapshot.Containers, recover.Container{Name: "c"})
		}, true},
		"the boot of the snapshot is not known": {func(h *recovertest.Host) { h.Snapshot.BootID = "" }, true},
		"it is the same boot": {
			func(h *recovertest.Host) { h.Snapshot.BootID = recovertest.Here.BootID }, true,
		},
		"a container is suspected": {
			func(h *recovertest.Host) { h.Quarantine = recover.Quarantine{{Name: "x", Strikes: 1}} }, false,
		},
		"a container is quarantined": {
			func(h *recovertest.Host) {
				h.Quarantine = recover.Quarantine{{Name: "x", Strikes: 2, Quarantined: true}}
			}, true,
		},
		"the suspects are not known": {
			func(h *recovertest.Host) { h.QuarantineErr = recovertest.ErrBroken }, true,
		},
		"the last run was stopped, and all is kept": {func(h *recovertest.Host) { h.Marker = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Ran("a")
			h.Marker, h.PodmanTakes = recovertest.Crashed, podmanTakes
			h.Snapshot.BootID, h.Snapshot.Containers[0].Unit = "b1", "a.service"
			c.prepare(h)
			p := recover.DefaultPolicy()
			p.CleanBoot = recover.CleanBootRestore
			_, report, err := live(t, h, p)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(report.Rows, func(r recover.Row) bool { return r.Name == "a" })
			if i < 0 || report.Rows[i].State != recover.RowUp {
				t.Fatalf("rows %+v", report.Rows)
			}
			if after := report.Rows[i].Started().Sub(report.Started); after >= podmanTakes != c.waits {
				t.Errorf("started after %s, while podman takes %s", after, podmanTakes)
			}
		})
	}
}

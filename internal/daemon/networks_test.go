package daemon

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// lostHost is a host after a crash, on which the rules of web's network are gone, and those of one
// that has ended.
func lostHost() *recovertest.Host {
	h := recovertest.NewHost().Quadlet("web").Quadlet("app").Ran("web", "app")
	h.Snapshot.BootID, h.Snapshot.GraphRoot, h.GraphRoot = "b1", "/c", "/c"
	h.Marker = recovertest.Crashed
	h.External = []recover.StoredName{{ID: "id-web", Name: "web", Running: true}, {ID: "id-old", Name: "old"}}
	h.Networks.Lost = []recover.LostRules{
		{Container: "id-web", Network: "podman", Whole: true, Ports: []string{"80/tcp"}},
		{Container: "id-old", Network: "podman", Whole: true},
	}
	return h
}

// networksOn has a host recover, and then calls do.
func networksOn(t *testing.T, h *recovertest.Host, do func(*Service)) {
	t.Helper()
	world := worldOf(h)
	world.StorageUnits, world.Mender, world.NetworkUnit =
		recovertest.Storage{H: h}, recovertest.Storage{H: h}, recovertest.Storage{H: h}
	recoverWorld(t, world, do)
}

// noted reports whether the status says that rules are gone.
func noted(s *Service) bool {
	status, _ := s.Status()
	return slices.ContainsFunc(status.Recovery.Notes, func(n string) bool {
		return strings.Contains(n, "do not reach web, or") && strings.Contains(n, "podman network reload --all")
	})
}

// After a crash the status names the running containers whose rules are gone. repair looks again, names
// them with the cure, and changes nothing.
func TestNetworkRulesLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lostHost()
		networksOn(t, h, func(s *Service) {
			if !noted(s) || h.NetworkLooks != 1 {
				status, _ := s.Status()
				t.Errorf("after %d looks the notes are %q", h.NetworkLooks, status.Recovery.Notes)
			}
			for _, name := range []string{"", "web"} {
				before := historyOf(h)
				got, err := mends(s.Repair(t.Context(), name))
				if err != nil || len(got) != 1 || got[0].Container != "web" || len(got[0].Steps) > 0 ||
					!strings.Contains(got[0].Fault, "its network podman are gone, with those of its published ports (80/tcp)") ||
					!strings.Contains(got[0].Refused, "podman network reload --all") || historyOf(h) != before {
					t.Errorf("%q: %+v, %v", name, got, err)
				}
			}
			if _, err := s.Repairs(t.Context(), "app"); !errors.Is(err, ErrNotDamaged) {
				t.Errorf("app: %v", err)
			}
			h.Set(func() { h.NetworksErr = errors.New("no unit") })
			if got, err := s.Repairs(t.Context(), ""); err != nil || len(got.Repairs) > 0 || len(got.Unknown) != 1 ||
				!strings.Contains(got.Unknown[0], "networks are there: no unit") || !noted(s) {
				t.Errorf("unknown: %+v, %v", got, err)
			}
			h.Set(func() { h.NetworksErr, h.Networks.Lost = nil, nil })
			if got, err := s.Repairs(t.Context(), ""); err != nil || len(got.Repairs)+len(got.Unknown) > 0 || noted(s) {
				t.Errorf("they are back: %+v, %v, noted %v", got, err, noted(s))
			}
		})
	})
}

// Nothing is looked for by itself after an orderly end, nor later on; a repair looks.
func TestNetworkRulesNotLooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lostHost()
		h.Marker = nil
		networksOn(t, h, func(s *Service) {
			time.Sleep(24 * time.Hour)
			if h.NetworkLooks != 0 || noted(s) {
				t.Errorf("%d looks", h.NetworkLooks)
			}
			if _, err := s.Repairs(t.Context(), ""); err != nil || !noted(s) {
				t.Errorf("a repair: %v, noted %v", err, noted(s))
			}
		})
	})
}

// Where the look at the storage had no time for all, a repair of all says so, too.
func TestRepairNotAllLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		repairOn(t, h, func(s *Service) {
			whole, err := s.Repairs(t.Context(), "")
			if err != nil || len(whole.Unknown) > 0 {
				t.Errorf("%+v, %v", whole, err)
			}
			h.Set(func() { h.Hurried = true })
			for _, name := range []string{"", "p"} {
				got, err := s.Repairs(t.Context(), name)
				if err != nil || len(got.Repairs) == 0 || len(got.Unknown) != 1 ||
					!strings.Contains(got.Unknown[0], "See all with archy-recovery storage check /c") {
					t.Errorf("%q: %+v, %v", name, got, err)
				}
			}
		})
	})
}

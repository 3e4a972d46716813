package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// chain is a host with plain containers of which podman starts the later ones before the
// first, and another one.
func chain() *recovertest.Host {
	h := recovertest.NewHost().Ran("app", "cache", "pdb", "other")
	for _, name := range []string{"app", "cache", "pdb", "other"} {
		h.Plain(name, "exited")
	}
	h.Dependencies = map[string][]string{"app": {"cache"}, "cache": {"pdb"}}
	return h
}

// suspectsOf names the suspects.
func suspectsOf(s *Service) (names []string) {
	st, _ := s.Status()
	for _, suspect := range st.Quarantine {
		names = append(names, suspect.Name)
	}
	return names
}

// What podman started along was in flight, too.
func TestPodmanBroughtAlong(t *testing.T) {
	h := chain()
	h.Marker, h.BootEnd = recovertest.Crashed, signs(recover.CausePanic)
	h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"app"}}
	withService(t, h, func(s *Service) {
		untilReady(s)
		got := suspectsOf(s)
		if !slices.Equal(got, []string{"app", "cache", "pdb"}) {
			t.Errorf("suspected are %q", got)
		}
	})
}

// The control group in which the kernel killed a process names one container, by its unit or
// by its ID, and no other one is suspected.
func TestKilledCgroup(t *testing.T) {
	const id = "73d1d9e475a9938573739b67d5c0eb253a1a17cb4aa90e30c94b0c68276e4dc6"
	for cgroup, want := range map[string][]string{
		"/system.slice/b.service/libpod-payload-" + id: {"b"},
		"/machine.slice/libpod-" + id + ".scope":       {"c"},
		"/system.slice/ssh.service":                    {"a", "b", "c"},
	} {
		h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b", "c")
		h.Plain("c", "exited")
		if strings.Contains(cgroup, "machine.slice") {
			c := h.Sightings["c"]
			c.ID = id
			h.Sightings["c"] = c
		}
		h.Marker = recovertest.Crashed
		h.BootEnd = recover.BootEnd{Tail: []recover.Sign{{Kind: recover.SignPanic, Cause: recover.CauseOOM, Cgroup: cgroup}}}
		h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"a", "b", "c"}}
		withService(t, h, func(s *Service) {
			untilReady(s)
			got := suspectsOf(s)
			if !slices.Equal(got, want) {
				t.Errorf("%s: suspected are %q, want %q", cgroup, got, want)
			}
		})
	}
}

// A container that is quarantined is not started by podman along with another.
func TestPodmanNeedsQuarantined(t *testing.T) {
	h := chain()
	h.Marker = recovertest.Crashed
	h.Quarantine = recover.Quarantine{{Name: "pdb", Strikes: 3, Case: "b0", BootID: "b0", Quarantined: true, Listed: true}}
	h.UserStopped = []string{"pdb"}
	withService(t, h, func(s *Service) {
		untilReady(s)
		st, _ := s.Status()
		for _, row := range st.Recovery.Rows {
			want := row.Name != "other"
			if (row.State == recover.RowQuarantined) != want {
				t.Errorf("%s is %s (%s)", row.Name, row.State, row.Error)
			}
			if row.Name == "app" && !strings.Contains(row.Error, "needs pdb, which is quarantined") {
				t.Errorf("app: %s", row.Error)
			}
		}
	})
}

// A crash names the containers of the set that something else had started within their soak. They
// are no suspects.
func TestStartedByOthers(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("long").Ran("a", "b", "long")
	h.Marker = recovertest.Crashed
	at := func(second time.Duration, started string) recover.Sign {
		return recover.Sign{Entry: recover.Entry{Message: "x"}, Monotonic: second * time.Second, Started: started}
	}
	h.BootEnd = recover.BootEnd{Tail: []recover.Sign{at(10, "long"), at(95, "b"), at(96, "b"), at(97, "a"),
		at(98, "stranger"), {Kind: recover.SignPanic, Cause: recover.CausePanic, Monotonic: 100 * time.Second}}}
	h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"a"}}
	withService(t, h, func(s *Service) {
		untilReady(s)
		book := s.board.currentBook()
		if got := suspectsOf(s); !slices.Equal(got, []string{"a"}) || len(book.Crashes) != 1 ||
			!slices.Equal(book.Crashes[0].Started, []string{"b"}) {
			t.Errorf("suspected are %q, of %+v", got, book.Crashes)
		}
	})
}

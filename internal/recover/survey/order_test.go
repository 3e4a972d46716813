package survey

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// Units, podman and compose each say what containers need first.
func TestOrder(t *testing.T) {
	h := recovertest.NewHost().Quadlet("q1").Quadlet("q2").Quadlet("run")
	for _, name := range []string{"db", "web", "old", "net"} {
		h.Plain(name, recover.StateExited)
	}
	compose := func(name string, needs ...recover.Need) {
		s := h.Sightings[name]
		s.Compose = &recover.Compose{Project: "p", Service: name, Needs: needs}
		h.Sightings[name] = s
	}
	compose("db")
	compose("web", recover.Need{Name: "db", Until: recover.UntilHealthy})
	h.After = map[string][]string{"q2.service": {"q1.service", "other.service"}}
	h.Dependencies = map[string][]string{"web": {"db", "infra"}, "old": {"net", "gone"}}
	unit := h.Units["run.service"]
	unit.Needs = []string{"q1", "gone"}
	h.Units["run.service"] = unit
	host := Host{Podman: recovertest.Podman{H: h}, Systemd: recovertest.Systemd{H: h}}
	var want []recover.Container
	for _, name := range []string{"q1", "q2", "run", "db", "web", "old", "net"} {
		want = append(want, recover.Container{Name: name})
	}
	view := host.Look(t.Context(), nil)
	resolved := host.Resolve(t.Context(), want, view)
	got, _, err := host.Order(t.Context(), want, resolved, view)
	ready := func(name string) recover.Need { return recover.Need{Name: name, Until: recover.UntilReady} }
	expect := map[string][]recover.Need{
		"web": {{Name: "db", Until: recover.UntilHealthy}}, "q2": {ready("q1")}, "run": {ready("q1")}, "old": {ready("net")},
	}
	if diff := cmp.Diff(expect, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestOrderIsNotKnown: a podman that hangs, or a systemd that does not answer, delays the
// plan only briefly, and what is known of the order is kept.
func TestOrderIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		resolved := map[string]recover.Resolution{"q1": {Unit: "q1.service"}, "q2": {Unit: "q2.service"}}
		for _, name := range []string{"a", "b"} {
			h.Plain(name, recover.StateExited)
			resolved[name] = recover.Resolution{Unit: generatedName(name), Generated: true}
		}
		h.Dependencies = map[string][]string{"b": {"a"}}
		h.Stuck = map[string]chan struct{}{"a": make(chan struct{})}
		host := Host{Podman: recovertest.Podman{H: h}, Systemd: recovertest.Systemd{H: h}}
		began := time.Now()
		got, _, err := host.Order(t.Context(), nil, resolved, recover.View{})
		if took := time.Since(began); took != alongsideWithin || err == nil {
			t.Errorf("%v after %s", err, took)
		}
		if want := []recover.Need{{Name: "a", Until: recover.UntilReady}}; !slices.Equal(got["b"], want) {
			t.Errorf("b needs %v", got["b"])
		}
		h.BusErr = recovertest.ErrBroken
		if _, _, err := host.Order(t.Context(), nil, resolved, recover.View{}); !errors.Is(err, recovertest.ErrBroken) ||
			!strings.Contains(err.Error(), "does not say what a depends on") {
			t.Errorf("%v", err)
		}
	})
}

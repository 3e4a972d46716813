package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A unit that names no container runs another one after each of 1,000 restarts: it is
// one member, and is saved as seldom as one that flaps. A member of a unit that names
// it stays, though podman has forgotten it.
func TestUnnamedContainerIsOneMember(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.Units["run.service"] = recover.ContainerUnit{Unit: "run.service"}
	run := func(name string) recover.Sighting {
		return recover.Sighting{Container: recover.Container{Name: name, Unit: "run.service"}, State: recover.StateRunning}
	}
	during(t, h, func() {
		h.Set(func() {
			h.History = nil
			h.States["run.service"] = recover.UnitState{Loaded: true, Active: "active"}
			delete(h.Sightings, "a") // its unit is active still, and may start it again
		})
		for n := range 1000 {
			tell(h, time.Second, func() {
				delete(h.Sightings, fmt.Sprintf("random%d", n))
				h.Sightings[fmt.Sprintf("random%d", n+1)] = run(fmt.Sprintf("random%d", n+1))
			})
		}
		tell(h, time.Hour, func() {})
		s, _ := recovertest.Store{H: h}.Snapshot()
		if got := recovertest.Names(s.Containers); !slices.Equal(got, []string{"a", "random1000"}) {
			t.Errorf("the snapshot holds %d members: %.200q", len(got), got)
		}
		if n := len(saves(h.History)); n > 12 {
			t.Errorf("saved %d times", n)
		}
	})
}

// The status calls the container of such a unit running, whatever its name is now.
func TestUnnamedContainerRunsNow(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a")
	h.Marker = recovertest.Crashed
	h.Units["run.service"] = recover.ContainerUnit{Unit: "run.service"}
	h.States["run.service"] = recover.UnitState{Loaded: true, Active: "inactive"}
	h.Snapshot = &recover.Snapshot{BootID: "b1", Containers: []recover.Container{{Name: "random1", Unit: "run.service"}}}
	h.Start["run.service"] = func(_ context.Context, _ int) (recover.Outcome, error) {
		h.Set(func() {
			h.Sightings["random2"] = recover.Sighting{State: recover.StateRunning,
				Container: recover.Container{Name: "random2", Unit: "run.service"}}
		})
		return recovertest.Up, nil
	}
	h.Idle = true
	during(t, h, func() {
		tell(h, time.Second, func() { h.States["run.service"] = recovertest.Up.UnitState })
		if strings.Contains(h.Status, "run now") {
			t.Errorf("STATUS= is %q", h.Status)
		}
	})
	if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"random2"}) {
		t.Errorf("the snapshot holds %q", got)
	}
}

// What the keeper knows of units is bounded by what there is.
func TestClaimsAreForgotten(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	k := newService(h, recover.DefaultPolicy()).keeper
	for n := range 100 {
		name := fmt.Sprintf("c%d", n)
		h.Quadlet(name)
		list := recover.Sightings{{Container: recover.Container{Name: name, Unit: name + ".service"}}}
		if _, err := k.withBelievedUnits(t.Context(), h.Snapshot.Containers, list); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.believed) > 2 {
		t.Errorf("%d claims are kept", len(k.believed))
	}
}

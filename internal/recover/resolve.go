package recover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Resolution is the unit that starts a container: none (Unit empty) for a
// container that nobody knows, or an error for one whose unit could not be
// found out.
type Resolution struct {
	Unit      string
	Generated bool // by podman, just now
	State     UnitState
	Err       error
}

// Resolve finds the unit for each container. In this order: the one that the
// snapshot or the label PODMAN_SYSTEMD_UNIT names, if systemd can load it
// (template units put a name there that is no unit) and it may be believed (see
// Believe); an installed unit whose
// ExecStart= runs the container (a Quadlet container is gone from podman after
// a power cut, only this brings it back); and for a container that has no unit
// one that podman generates. Generated units are installed together, so that
// the manager reloads once.
func Resolve(ctx context.Context, want []Container, view View, podman Podman, systemd Systemd) map[string]Resolution {
	var claims []Claim
	for _, c := range want {
		claims = append(claims, Claim{view.sightings[c.Name].Unit, c.Name}, Claim{c.Unit, c.Name})
	}
	believed, believedErr := Believe(ctx, systemd, claims, view.units)
	hints := map[string][]string{} // container name -> units, best first
	for _, c := range want {
		var units []string
		if unit := view.sightings[c.Name].Unit; believed[Claim{unit, c.Name}] {
			units = append(units, unit)
		}
		// A unit that was generated for it in this boot names the container by
		// an ID that may be gone: it is generated anew.
		if c.Unit != "container-"+c.Name+".service" && believed[Claim{c.Unit, c.Name}] {
			units = append(units, c.Unit)
		}
		for _, u := range view.units {
			if u.Container.Name == c.Name {
				units = append(units, u.Unit)
			}
		}
		hints[c.Name] = units
	}

	states, err := systemd.States(ctx, slices.Concat(slices.Collect(maps.Values(hints))...))
	err = errors.Join(err, believedErr)
	found := make(map[string]Resolution, len(want))
	generated := map[string]string{}    // unit -> text
	generatedFor := map[string]string{} // container name -> unit
	for _, c := range want {
		if err != nil {
			found[c.Name] = Resolution{Err: fmt.Errorf("cannot ask systemd for its unit: %w", err)}
			continue
		}
		if unit, ok := pickUnit(hints[c.Name], states); ok {
			found[c.Name] = Resolution{Unit: unit, State: states[unit]}
			continue
		}
		_, known := view.sightings[c.Name]
		switch {
		case view.Active(c.Name):
			found[c.Name] = Resolution{} // runs without a unit: nothing to start
		case known:
			unit, text, err := podman.GenerateUnit(ctx, c.Name)
			if err != nil {
				found[c.Name] = Resolution{Err: fmt.Errorf("podman cannot generate a unit: %w", err)}
				continue
			}
			generated[unit], generatedFor[c.Name] = text, unit
		case view.PodmanErr != nil:
			found[c.Name] = Resolution{Err: fmt.Errorf("no unit runs it and podman does not answer: %w", view.PodmanErr)}
		case view.SystemdErr != nil:
			found[c.Name] = Resolution{Err: fmt.Errorf("podman does not know it and the units cannot be listed: %w", view.SystemdErr)}
		default:
			found[c.Name] = Resolution{}
		}
	}
	if len(generated) == 0 {
		return found
	}
	err = systemd.Install(ctx, generated)
	for name, unit := range generatedFor {
		if err != nil {
			found[name] = Resolution{Err: fmt.Errorf("cannot install %s: %w", unit, err)}
			continue
		}
		found[name] = Resolution{Unit: unit, Generated: true}
	}
	return found
}

// pickUnit takes the first unit that systemd could load, but prefers one that
// is active: with two units for one container, the live one owns it.
func pickUnit(units []string, states map[string]UnitState) (string, bool) {
	best, ok := "", false
	for _, u := range units {
		switch s := states[u]; {
		case !s.Loaded:
		case s.Active == "active":
			return u, true
		case !ok:
			best, ok = u, true
		}
	}
	return best, ok
}

// A Claim is that a unit runs a container.
type Claim struct{ Unit, Container string }

// Believe says which claims hold. They come from labels, and whoever makes an
// image gives it labels: one that names systemd-poweroff.service must not have
// that started. So a claim holds if the unit's ExecStart= runs that container;
// and, where it shows no container (a .kube, a script), if the unit says in its
// environment that it labels what it runs. known are units that were read before.
func Believe(ctx context.Context, systemd Systemd, claims []Claim, known []ContainerUnit) (map[Claim]bool, error) {
	read := map[string]bool{}
	for _, u := range known {
		read[u.Unit] = true
	}
	var named []string
	for _, c := range claims {
		if c.Unit != "" && !read[c.Unit] {
			read[c.Unit] = true
			named = append(named, c.Unit)
		}
	}
	var err error
	if len(named) > 0 {
		var more []ContainerUnit
		more, err = systemd.ContainerUnits(ctx, named)
		known = slices.Concat(known, more)
	}
	runs := map[Claim]bool{}
	for _, u := range known {
		runs[Claim{u.Unit, u.Container.Name}] = true
	}
	believed := map[Claim]bool{}
	for _, c := range claims {
		believed[c] = runs[c] || runs[Claim{c.Unit, ""}]
	}
	return believed, err
}

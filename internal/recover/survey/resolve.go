package survey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"archy-recovery/internal/recover"
)

// Resolve finds the unit for each container. It takes the first of these:
//
//   - the unit that the label PODMAN_SYSTEMD_UNIT or the snapshot names, if
//     systemd can load it (template units put a name there that is no unit) and
//     Believe confirms it;
//   - an installed unit whose ExecStart= runs the container (a Quadlet container
//     is gone from podman after a power cut, and only this unit brings it back);
//   - for a container that has no unit, one that podman generates.
//
// Generated units are installed together, so that the manager reloads once.
func (h Host) Resolve(ctx context.Context, want []recover.Container, view recover.View) map[string]recover.Resolution {
	found, generated := h.Find(ctx, want, view)
	generated.Settle(found, generated.Install(ctx))
	return found
}

// Find is Resolve, but leaves the generated units to be installed: podman can be asked more
// meanwhile.
func (h Host) Find(
	ctx context.Context, want []recover.Container, view recover.View,
) (map[string]recover.Resolution, Generated) {
	hints, jobs, believeErr := h.hints(ctx, want, view)
	states, err := h.Systemd.States(ctx, slices.Concat(slices.Collect(maps.Values(hints))...))
	err = errors.Join(err, believeErr)
	found := make(map[string]recover.Resolution, len(want))
	g := Generated{host: h, texts: map[string]string{}, units: map[string]string{}}
	for _, c := range want {
		if err != nil {
			found[c.Name] = recover.Resolution{Err: fmt.Errorf("cannot ask systemd for its unit: %w", err)}
			continue
		}
		if unit, ok := pickUnit(hints[c.Name], states); ok {
			found[c.Name] = recover.Resolution{Unit: unit, Job: jobs[unit], State: states[unit]}
			continue
		}
		if view.Active(c.Name) { // it runs without a unit: there is nothing to start
			found[c.Name] = recover.Resolution{}
			continue
		}
		if _, known := view.Sighting(c.Name); known {
			g.names = append(g.names, c.Name)
			continue
		}
		found[c.Name] = withoutUnit(c.Name, view)
	}
	g.generate(ctx, found)
	return found, g
}

// hints returns, by container, the units that may start it, best first; and which of
// them run to their end.
func (h Host) hints(
	ctx context.Context, want []recover.Container, view recover.View,
) (hints map[string][]string, jobs map[string]bool, err error) {
	label := func(name string) string {
		s, _ := view.Sighting(name)
		return s.Unit
	}
	var claims []Claim
	for _, c := range want {
		claims = append(claims, Claim{label(c.Name), c.Name}, Claim{c.Unit, c.Name})
	}
	believed, read, err := h.believe(ctx, claims, view.Units)
	hints = map[string][]string{}
	for _, c := range want {
		var units []string
		if unit := label(c.Name); believed[Claim{unit, c.Name}] {
			units = append(units, unit)
		}
		// A unit that was generated for it in this boot names the container by
		// an ID that may be gone: it is generated anew.
		if c.Unit != generatedName(c.Name) && believed[Claim{c.Unit, c.Name}] {
			units = append(units, c.Unit)
		}
		for _, u := range view.Units {
			if u.Container.Name == c.Name {
				units = append(units, u.Unit)
			}
		}
		hints[c.Name] = units
	}
	return hints, jobUnits(read), err
}

// pickUnit takes the first unit that systemd could load, but prefers one that
// is active: with two units for one container, the live one owns it.
func pickUnit(units []string, states map[string]recover.UnitState) (string, bool) {
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

// generatedName is the unit that podman generates for a container
// (podman-generate-systemd(1)).
func generatedName(container string) string { return "container-" + container + ".service" }

// Generated are the units that podman has generated for one Resolve.
type Generated struct {
	host  Host
	names []string          // the containers that need a unit
	texts map[string]string // by unit
	units map[string]string // by container
}

// generate asks podman for the units. It asks for several at a time: nothing is started
// before the last one is there.
func (g *Generated) generate(ctx context.Context, found map[string]recover.Resolution) {
	type generated struct {
		unit, text string
		err        error
	}
	answers := make([]generated, len(g.names))
	sideBySide(len(g.names), func(i int) {
		a := &answers[i]
		a.unit, a.text, a.err = g.host.Podman.GenerateUnit(ctx, g.names[i])
	})
	for i, name := range g.names {
		a := answers[i]
		if a.err != nil {
			found[name] = recover.Resolution{Err: fmt.Errorf("podman cannot generate a unit: %w", a.err)}
			continue
		}
		g.texts[a.unit], g.units[name] = a.text, a.unit
		found[name] = recover.Resolution{Unit: a.unit, Generated: true}
	}
}

// withoutUnit resolves a container that has no installed unit, and that podman did not list.
func withoutUnit(name string, view recover.View) recover.Resolution {
	switch {
	case view.Unanswered[name]:
		return recover.Resolution{Err: errors.New("no unit runs it and podman does not answer for it in time")}
	case view.PodmanErr != nil:
		return recover.Resolution{Err: fmt.Errorf("no unit runs it and podman does not answer: %w", view.PodmanErr)}
	case view.SystemdErr != nil:
		err := fmt.Errorf("podman does not know it and the units cannot be listed: %w", view.SystemdErr)
		return recover.Resolution{Err: err}
	}
	return recover.Resolution{}
}

// Install installs the units.
func (g *Generated) Install(ctx context.Context) error {
	if len(g.texts) == 0 {
		return nil
	}
	return g.host.Systemd.Install(ctx, g.texts)
}

// Settle says in found that the units could not be installed, if err says so.
func (g *Generated) Settle(found map[string]recover.Resolution, err error) {
	for name, unit := range g.units {
		if err != nil {
			found[name] = recover.Resolution{Err: fmt.Errorf("cannot install %s: %w", unit, err)}
		}
	}
}

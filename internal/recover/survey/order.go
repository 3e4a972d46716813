package survey

import (
	"context"
	"errors"
	"slices"

	"archy-recovery/internal/recover"
)

// OrderUnknown is the note for a failed Order.
const OrderUnknown = "it is not known what some containers need: they start by their tiers alone"

// Order finds out what the containers need first that are to be started: by the order of
// their units, by what podman starts before them, and by the labels of compose. What they
// need in a circle is left out, and named in notes. With an error it returns what it could
// find out.
func (h Host) Order(
	ctx context.Context, containers []recover.Container, resolved map[string]recover.Resolution, view recover.View,
) (needs map[string][]recover.Need, notes []string, err error) {
	known := make([]recover.Container, len(containers))
	for i, c := range containers {
		known[i] = view.Update(c)
	}
	needs = recover.ComposeNeeds(known)
	add := func(name, other string) {
		has := func(n recover.Need) bool { return n.Name == other }
		if name != other && resolved[other].Unit != "" && !slices.ContainsFunc(needs[name], has) {
			needs[name] = append(needs[name], recover.Need{Name: other, Until: recover.UntilReady})
		}
	}
	byUnits := h.addUnitOrder(ctx, resolved, add)
	byPodman := h.addPodmanOrder(ctx, resolved, view, add)
	needs, cycles := recover.WithoutCycles(needs)
	for _, cycle := range cycles {
		notes = append(notes, recover.CycleNote(cycle))
	}
	return needs, notes, errors.Join(byUnits, byPodman)
}

// addUnitOrder adds the order of the containers' own units.
func (h Host) addUnitOrder(
	ctx context.Context, resolved map[string]recover.Resolution, add func(name, other string),
) error {
	names := map[string][]string{} // unit -> containers
	var units []string
	for name, how := range resolved {
		if how.Unit == "" || how.Generated { // podman writes no order into those
			continue
		}
		if names[how.Unit] == nil {
			units = append(units, how.Unit)
		}
		names[how.Unit] = append(names[how.Unit], name)
	}
	if len(units) < 2 {
		return nil
	}
	order, err := h.Systemd.Order(ctx, units)
	for unit, after := range order {
		for _, other := range after {
			for _, name := range names[unit] {
				for _, first := range names[other] {
					add(name, first)
				}
			}
		}
	}
	return err
}

// addPodmanOrder adds what podman starts before the containers. Where it does not answer in
// time, it holds nothing up.
func (h Host) addPodmanOrder(
	ctx context.Context, resolved map[string]recover.Resolution, view recover.View, add func(name, other string),
) error {
	var ask []string
	for name, how := range resolved {
		if how.Generated && len(resolved) > 1 {
			ask = append(ask, name)
		}
	}
	for _, u := range view.Units {
		for _, other := range u.Needs {
			add(u.Container.Name, other)
		}
		if how := resolved[u.Container.Name]; u.StartsExisting && how.Unit == u.Unit && len(resolved) > 1 {
			ask = append(ask, u.Container.Name)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	soon, cancel := context.WithTimeout(ctx, alongsideWithin)
	defer cancel()
	answers, err := h.dependenciesOfEach(soon, ask)
	for name, needed := range answers {
		for _, other := range needed {
			add(name, other)
		}
	}
	return err
}

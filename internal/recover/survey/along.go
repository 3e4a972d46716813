package survey

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"archy-recovery/internal/recover"
)

// Starts is what is to be started, as far as Tie has to know it.
type Starts struct {
	// Resolved has the unit of each container.
	Resolved map[string]recover.Resolution
	View     recover.View
	// Stopped are the containers that no start may start along.
	Stopped []string
	// AsIfDown: nothing runs, whatever systemd says.
	AsIfDown bool
}

// TiesUnknown is the note for a failed Tie.
const TiesUnknown = "it is not known which containers the start of others would start along"

// Tie fills in Pulls and Along of a plan's holds: what the starts would start along of the
// suspects in holds, and of the containers that are stopped. It asks nothing if there are
// none of either.
func (h Host) Tie(ctx context.Context, holds *recover.Holds, s Starts) error {
	s.Stopped = slices.DeleteFunc(slices.Clone(s.Stopped), s.View.Active)
	if len(holds.Quarantine)+len(s.Stopped) == 0 {
		return nil
	}
	var units []string
	for _, how := range s.Resolved {
		if how.Unit != "" {
			units = append(units, how.Unit)
		}
	}
	pulls, err := h.Systemd.Pulls(ctx, units, s.AsIfDown)
	if err != nil {
		return err
	}
	if len(holds.Quarantine) > 0 {
		holds.Pulls = map[string][]string{}
		for unit, others := range pulls {
			for _, p := range others {
				if p.Starts {
					holds.Pulls[unit] = append(holds.Pulls[unit], p.Unit)
				}
			}
		}
	}
	if len(holds.Quarantine.Watched()) > 0 {
		if err := h.pulledByPodman(ctx, holds, s.Resolved); err != nil {
			return err
		}
	}
	if len(s.Stopped) == 0 {
		return nil
	}
	t := tie{Starts: s, host: h, pulls: pulls, direct: map[string][]string{}}
	if err := t.readUnits(ctx); err != nil {
		return err
	}
	if err := t.readDependencies(ctx); err != nil {
		return err
	}
	holds.Along = t.along()
	return nil
}

// A tie finds the stopped containers that the starts of others would start along: by
// systemd, since their units pull each other in, and by podman, which starts what a
// container depends on.
type tie struct {
	Starts
	host  Host
	pulls map[string][]recover.Pull
	units []recover.ContainerUnit
	// direct is what podman starts before a container, or does not start it without.
	direct map[string][]string
}

// readUnits finds out which containers the pulled units run.
func (t *tie) readUnits(ctx context.Context) error {
	known := map[string]bool{}
	for _, u := range t.View.Units {
		known[u.Unit] = true
	}
	var named []string
	name := func(unit string) {
		if unit != "" && !known[unit] {
			known[unit] = true
			named = append(named, unit)
		}
	}
	for _, how := range t.Resolved {
		name(how.Unit)
	}
	for _, others := range t.pulls {
		for _, p := range others {
			name(p.Unit)
		}
	}
	t.units = slices.Clone(t.View.Units)
	if len(named) > 0 {
		more, err := t.host.Systemd.ContainerUnits(ctx, named)
		if err != nil {
			return err
		}
		t.units = slices.Concat(t.units, more)
	}
	for _, stopped := range t.Stopped { // a unit that shows no container: the label says which one it runs
		s, _ := t.View.Sighting(stopped)
		labels := func(u recover.ContainerUnit) bool { return u.Unit == s.Unit && u.Container.Name == "" }
		if slices.ContainsFunc(t.units, labels) {
			t.units = append(t.units, recover.ContainerUnit{Unit: s.Unit, Container: recover.Container{Name: stopped}})
		}
	}
	return nil
}

// readDependencies finds out what podman starts before the containers, and before those.
func (t *tie) readDependencies(ctx context.Context) error {
	var ask []string
	for _, u := range t.units {
		t.direct[u.Container.Name] = u.Needs
		if u.StartsExisting {
			ask = append(ask, u.Container.Name)
		}
	}
	for name, how := range t.Resolved {
		if how.Generated {
			ask = append(ask, name)
		}
	}
	// podman knows each container that another one depends on.
	if t.View.Listed && !slices.ContainsFunc(t.Stopped, func(name string) bool {
		_, known := t.View.Sighting(name)
		return known
	}) {
		return nil
	}
	direct, err := t.host.dependencies(ctx, ask, t.View.Active)
	if err != nil {
		return err
	}
	for name, needed := range direct {
		t.direct[name] = slices.Concat(t.direct[name], needed)
	}
	t.forgetRunning(ctx)
	return nil
}

// pulledByPodman adds to Pulls what podman starts before the containers that it starts
// itself: a suspect comes along with those that depend on it.
func (h Host) pulledByPodman(ctx context.Context, holds *recover.Holds, resolved map[string]recover.Resolution) error {
	var ask []string
	for name, how := range resolved {
		if how.Generated {
			ask = append(ask, name)
		}
	}
	needs, err := h.Needs(ctx, ask)
	for name, needed := range needs {
		unit := resolved[name].Unit
		for _, other := range needed {
			if pulled := resolved[other].Unit; pulled != "" && pulled != unit {
				holds.Pulls[unit] = append(holds.Pulls[unit], pulled)
			}
		}
	}
	return err
}

// Needs says for each of the containers what podman starts before it, and before that.
func (h Host) Needs(ctx context.Context, names []string) (needs map[string][]string, err error) {
	direct, err := h.dependencies(ctx, names, func(string) bool { return false })
	needs = map[string][]string{}
	for _, name := range names {
		for todo := direct[name]; len(todo) > 0; todo = todo[1:] {
			if other := todo[0]; other != name && !slices.Contains(needs[name], other) {
				needs[name] = append(needs[name], other)
				todo = slices.Concat(todo, direct[other])
			}
		}
	}
	return needs, err
}

// dependencies asks podman what each of the containers depends on, and what these do, but
// for those that are left out. With an error it returns what it could find out.
func (h Host) dependencies(
	ctx context.Context, names []string, leaveOut func(name string) bool,
) (direct map[string][]string, err error) {
	direct = map[string][]string{}
	for ask := names; len(ask) > 0 && err == nil; {
		var answers map[string][]string
		answers, err = h.dependenciesOfEach(ctx, ask)
		maps.Copy(direct, answers)
		next := map[string]bool{}
		for _, needed := range answers {
			for _, name := range needed {
				if _, asked := direct[name]; !asked && !leaveOut(name) {
					next[name] = true
				}
			}
		}
		ask = slices.Collect(maps.Keys(next))
	}
	return direct, err
}

// forgetRunning drops from the stopped containers those that podman would start before
// others and that run: where podman has not listed any, it is asked about these.
func (t *tie) forgetRunning(ctx context.Context) {
	if t.View.Listed || t.AsIfDown {
		return
	}
	var doubtful []string
	for _, needed := range t.direct {
		for _, name := range needed {
			if slices.Contains(t.Stopped, name) && !slices.Contains(doubtful, name) {
				doubtful = append(doubtful, name)
			}
		}
	}
	for _, a := range t.host.InspectEach(ctx, doubtful) {
		if a.Err == nil && a.Sighting.Running() {
			t.Stopped = slices.DeleteFunc(t.Stopped, func(name string) bool { return name == a.Name })
		}
	}
}

// dependenciesOfEach asks podman what each of the containers depends on, side by side.
func (h Host) dependenciesOfEach(ctx context.Context, names []string) (map[string][]string, error) {
	needs := make([][]string, len(names))
	failed := make([]error, len(names))
	sideBySide(len(names), func(i int) {
		config, err := h.Podman.ConfigOf(ctx, names[i])
		needs[i], failed[i] = config.Needs, err
	})
	answers := map[string][]string{}
	var first error
	for i, name := range names {
		answers[name] = needs[i]
		if failed[i] != nil && first == nil {
			first = fmt.Errorf("podman does not say what %s depends on: %w", name, failed[i])
		}
	}
	return answers, first
}

// along is the result, by container.
func (t *tie) along() map[string]recover.Along {
	all := map[string]recover.Along{}
	for name, how := range t.Resolved {
		a := recover.Along{Needed: t.stoppedBefore(name)}
		for _, p := range t.pulls[how.Unit] {
			var hits []string
			for _, u := range t.units {
				switch other := u.Container.Name; {
				case u.Unit != p.Unit || other == name:
				case slices.Contains(t.Stopped, other):
					hits = append(hits, other)
				default:
					hits = append(hits, t.stoppedBefore(other)...)
				}
			}
			switch {
			case len(hits) == 0:
				continue
			case p.Needed:
				a.Needed = append(a.Needed, hits...)
			case p.Starts:
				a.Wanted = append(a.Wanted, hits...)
			}
			a.Without = append(a.Without, p.Unit)
		}
		if len(a.Needed)+len(a.Wanted) > 0 {
			all[name] = recover.Along{Needed: unique(a.Needed), Wanted: unique(a.Wanted), Without: unique(a.Without)}
		}
	}
	return all
}

// stoppedBefore names the stopped containers that podman starts before a container.
func (t *tie) stoppedBefore(name string) (stopped []string) {
	seen := map[string]bool{name: true}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		for _, needed := range t.direct[todo[0]] {
			switch {
			case seen[needed], t.View.Active(needed):
			case slices.Contains(t.Stopped, needed):
				stopped = append(stopped, needed)
			default:
				todo = append(todo, needed)
			}
			seen[needed] = true
		}
	}
	return stopped
}

// unique returns the names sorted, each once.
func unique(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

package recover

import (
	"cmp"
	"errors"
	"maps"
	"slices"
)

// A View is what podman and systemd showed at one look at the host. Either half
// may be unknown.
type View struct {
	// sightings are the containers that podman lists, by name.
	sightings map[string]Sighting
	// Units are the units that run containers. AllUnits: these are all that are
	// installed, and not only those that were asked for by name.
	Units    []ContainerUnit
	AllUnits bool
	// Dead names the containers that, by the journal, died in this boot and were
	// not started since.
	Dead map[string]bool
	// Unanswered names the containers that podman was asked about, one at a time, and
	// did not answer for in time. A start that hangs holds the lock of its container.
	Unanswered map[string]bool
	// Listed: the sightings are all that podman knows, and not only those that it was
	// asked about.
	Listed bool
	// PodmanErr is why podman's half is unknown, nil when it is known.
	PodmanErr error
	// SystemdErr is why systemd's half is unknown, nil when it is known.
	SystemdErr error
}

// TakeList adds podman's half: its list of containers, or why there is none.
func (v *View) TakeList(list Sightings, err error) {
	v.sightings, v.PodmanErr, v.Listed = list.ByName(), err, err == nil
}

// TakeOne adds what podman says of one container: how it is now, that there is none of
// that name (ErrNoContainer), or that it did not answer for it.
func (v *View) TakeOne(name string, s Sighting, err error) {
	delete(v.sightings, name)
	delete(v.Unanswered, name)
	switch {
	case err == nil:
		if v.sightings == nil {
			v.sightings = map[string]Sighting{}
		}
		v.sightings[name] = s
	case !errors.Is(err, ErrNoContainer):
		if v.Unanswered == nil {
			v.Unanswered = map[string]bool{}
		}
		v.Unanswered[name] = true
	}
}

// Sighting returns the container with a name as podman lists it.
func (v View) Sighting(name string) (s Sighting, known bool) {
	s, known = v.sightings[name]
	return s, known
}

// ListsAny reports whether podman lists any container.
func (v View) ListsAny() bool { return len(v.sightings) > 0 }

// Active reports whether podman lists the container as running.
func (v View) Active(name string) bool { return v.sightings[name].Running() }

// Ending reports whether a container has ended. Its unit, if active, ends soon.
func (v View) Ending(name string) bool {
	now := v.sightings[name]
	return !now.Running() && (v.Dead[name] || now.Ended())
}

// Covers reports whether the view has a unit for each of the containers.
func (v View) Covers(want []Container) bool {
	return !slices.ContainsFunc(want, func(c Container) bool { return unitThatRuns(c.Name, v.Units) == nil })
}

// unitThatRuns returns the unit that runs a container, nil if there is none.
func unitThatRuns(name string, units []ContainerUnit) *ContainerUnit {
	i := slices.IndexFunc(units, func(u ContainerUnit) bool { return u.Container.Name == name })
	if i < 0 {
		return nil
	}
	return &units[i]
}

// Existing lists each container that podman or a unit knows, by name, without
// the infra containers of pods.
func (v View) Existing() []Container {
	byName := map[string]Container{}
	for _, u := range v.Units {
		byName[u.Container.Name] = u.Container
	}
	for _, s := range v.sightings {
		if !s.Infra {
			byName[s.Name] = s.Container
		}
	}
	return Snapshot{Containers: slices.Collect(maps.Values(byName))}.Sorted()
}

// Update is c as the view has it; what the view does not know stays as it is in c.
func (v View) Update(c Container) Container {
	now, known := v.sightings[c.Name]
	if !known {
		u := unitThatRuns(c.Name, v.Units)
		if u == nil {
			return c
		}
		now.Container = u.Container
		now.Unit = u.Unit
	}
	next := now.Container
	if next.Image == "" {
		next.Image = c.Image
	}
	if next.Unit == "" {
		next.Unit = c.Unit
	}
	next.Job = next.Job || c.jobOf(next.Unit)
	next.Health = cmp.Or(next.Health, c.Health)
	next.Unrecovered = c.Unrecovered
	return next
}

// UnitOf returns the unit that runs a container, by podman or by the units, ""
// if neither names one.
func (v View) UnitOf(name string) string {
	if unit := v.sightings[name].Unit; unit != "" {
		return unit
	}
	if u := unitThatRuns(name, v.Units); u != nil {
		return u.Unit
	}
	return ""
}

// WithRunning returns the given containers and those that run, each once.
func (v View) WithRunning(given []Container) []Container {
	all := slices.Clone(given)
	for _, s := range v.sightings {
		if s.Running() && !s.Infra && !HasName(given, s.Name) {
			all = append(all, s.Container)
		}
	}
	return Snapshot{Containers: all}.Sorted()
}

// AfterPowerCut returns the view that a look right after a power cut would give:
// nothing runs.
func (v View) AfterPowerCut() View {
	v.sightings = maps.Clone(v.sightings)
	for name, s := range v.sightings {
		s.State = StateExited
		v.sightings[name] = s
	}
	return v
}

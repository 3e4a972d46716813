package recover

import (
	"context"
	"slices"
	"sync"
)

// A View is the host as recovery found it: what podman lists and which units
// run containers. Either half may be unknown.
type View struct {
	sightings map[string]Sighting
	units     []ContainerUnit
	// PodmanErr is why podman's half is unknown, nil when it is known.
	PodmanErr error
	// SystemdErr is why systemd's half is unknown, nil when it is known.
	SystemdErr error
}

// Look asks podman and systemd for a View. It never fails as a whole: recovery
// goes on with the half that answered.
func Look(ctx context.Context, podman Podman, systemd Systemd) View {
	var v View
	var both sync.WaitGroup // side by side: podman may have to be started first
	both.Go(func() { v.units, v.SystemdErr = systemd.ContainerUnits(ctx) })
	both.Go(func() {
		var list []Sighting
		list, v.PodmanErr = podman.List(ctx)
		v.sightings = make(map[string]Sighting, len(list))
		for _, s := range list {
			v.sightings[s.Name] = s
		}
	})
	both.Wait()
	return v
}

// Active reports whether podman has the container running.
func (v View) Active(name string) bool { return v.sightings[name].Running() }

// Existing lists each container that podman or a unit knows, by name, without
// pods' infra containers.
func (v View) Existing() []Container {
	byName := map[string]Container{}
	for _, u := range v.units {
		byName[u.Container.Name] = u.Container
	}
	for name, s := range v.sightings {
		if !s.Infra {
			byName[name] = s.Container
		}
	}
	var all []Container
	for _, c := range byName {
		all = append(all, c)
	}
	return Snapshot{Containers: all}.sorted()
}

// Update brings what the snapshot remembered of c up to date with what is
// known now.
func (v View) Update(c Container) Container {
	now, known := v.sightings[c.Name]
	if !known {
		i := slices.IndexFunc(v.units, func(u ContainerUnit) bool { return u.Container.Name == c.Name })
		if i < 0 {
			return c
		}
		now.Container = v.units[i].Container
		now.Unit = v.units[i].Unit
	}
	if now.Image != "" {
		c.Image = now.Image
	}
	if now.Unit != "" {
		c.Unit = now.Unit
	}
	c.Tier = now.Tier
	return c
}

// unitOf is the unit that runs a container, as far as podman or a unit says.
func (v View) unitOf(name string) string {
	if unit := v.sightings[name].Unit; unit != "" {
		return unit
	}
	for _, u := range v.units {
		if u.Container.Name == name {
			return u.Unit
		}
	}
	return ""
}

// withRunning is the given containers and those that run, each once.
func (v View) withRunning(given []Container) []Container {
	all := slices.Clone(given)
	for _, s := range v.sightings {
		if s.Running() && !s.Infra && !holds(given, s.Name) {
			all = append(all, s.Container)
		}
	}
	return Snapshot{Containers: all}.sorted()
}

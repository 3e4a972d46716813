package recover

import (
	"context"
	"slices"
)

// A View is the host as recovery found it: what podman lists and which units
// run containers. Either half may be unknown.
type View struct {
	sightings map[string]Sighting
	units     []ContainerUnit
	all       bool            // units are all that are installed
	dead      map[string]bool // as the journal says: in this boot, and not started since
	// PodmanErr is why podman's half is unknown, nil when it is known.
	PodmanErr error
	// SystemdErr is why systemd's half is unknown, nil when it is known.
	SystemdErr error
}

// Look asks podman and systemd for a View of, at least, the containers in want;
// nil is all that there are. It never fails as a whole: recovery goes on with
// the half that answered.
func Look(ctx context.Context, podman Podman, systemd Systemd, want []Container) View {
	listed := listing(ctx, podman) // side by side: podman may have to be started first
	var v View
	v.lookForUnits(ctx, systemd, want)
	v.take(<-listed)
	return v
}

// A list is podman's answer.
type list struct {
	sightings []Sighting
	err       error
}

// listing asks podman, and returns where the answer will be.
func listing(ctx context.Context, podman Podman) <-chan list {
	answer := make(chan list, 1)
	go func() {
		var l list
		l.sightings, l.err = podman.List(ctx)
		answer <- l
	}()
	return answer
}

// take adds podman's half.
func (v *View) take(l list) {
	v.PodmanErr = l.err
	v.sightings = make(map[string]Sighting, len(l.sightings))
	for _, s := range l.sightings {
		v.sightings[s.Name] = s
	}
}

// heed has the view take account of who is dead, as the journal says. podman
// lists a container as it stood before the container's lock was free: one that is
// being cleaned up, for seconds where the host is busy, as running. It has then
// been waited for, and podman knows better when it is asked again.
func (v *View) heed(ctx context.Context, dead map[string]bool, podman Podman) {
	v.dead = dead
	for name := range dead {
		if !v.Active(name) {
			continue
		}
		if again := <-listing(ctx, podman); again.err == nil {
			v.take(again)
		}
		return
	}
}

// Ending reports whether a container has ended, so that its unit, should that be
// active, is about to end.
func (v View) Ending(name string) bool {
	now := v.sightings[name]
	return !now.Running() && (v.dead[name] || now.State == "stopped" || now.State == "exited")
}

// lookForUnits asks about the units that are said to run the containers in
// want. Where these do not run all of them, all installed units are asked
// about: that keeps systemd busy for tenths of a second, in which it starts
// nothing.
func (v *View) lookForUnits(ctx context.Context, systemd Systemd, want []Container) {
	var named []string
	for _, c := range want {
		if c.Unit != "" {
			named = append(named, c.Unit)
		}
	}
	if len(named) > 0 {
		v.units, v.SystemdErr = systemd.ContainerUnits(ctx, named)
	}
	v.Include(ctx, systemd, want)
}

// Include looks again if a container in want is in no unit of this view; nil is
// all that there are.
func (v *View) Include(ctx context.Context, systemd Systemd, want []Container) {
	if v.all || v.SystemdErr != nil || want != nil && v.covers(want) {
		return
	}
	v.units, v.SystemdErr = systemd.ContainerUnits(ctx, nil)
	v.all = true
}

// covers reports whether a unit is known for each of the containers.
func (v *View) covers(want []Container) bool {
	return !slices.ContainsFunc(want, func(c Container) bool { return unitThatRuns(c.Name, v.units) == nil })
}

// unitThatRuns is the one of the units that runs a container, or nil.
func unitThatRuns(name string, units []ContainerUnit) *ContainerUnit {
	i := slices.IndexFunc(units, func(u ContainerUnit) bool { return u.Container.Name == name })
	if i < 0 {
		return nil
	}
	return &units[i]
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
		u := unitThatRuns(c.Name, v.units)
		if u == nil {
			return c
		}
		now.Container = u.Container
		now.Unit = u.Unit
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
	if u := unitThatRuns(name, v.units); u != nil {
		return u.Unit
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

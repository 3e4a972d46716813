package recover

import (
	"cmp"
	"slices"
)

// NextSet is the running set now, from the last one and what podman and
// systemd show. What runs is in it. What was in it and does not run stays if
// it failed or is on its way (a failed app must not be forgotten) and leaves
// if it was stopped. A job leaves when it has ended, in whatever way. A missing one
// stays until CarriedOver drops it.
func NextSet(last []Container, sightings Sightings, units map[string]UnitState, userStopped []string) []Container {
	var next []Container
	byName := sightings.ByName()
	before := map[string]Container{}
	for _, c := range last {
		before[c.Name] = c
	}
	for _, s := range sightings {
		if s.Running() && !s.Infra {
			s.Job = s.Job || before[s.Name].jobOf(s.Unit)
			s.Health = cmp.Or(s.Health, before[s.Name].Health)
			next = append(next, s.Container)
		}
	}
	for _, c := range last {
		s, known := byName[c.Name]
		if known && s.Running() || slices.Contains(userStopped, c.Name) {
			continue
		}
		// podman forgets all at once only when its storage is not there.
		found := known || units[c.Unit].Loaded
		if found {
			c.Missing = nil
		}
		exists := found || len(sightings) == 0 || c.Missing != nil
		if c.Unrecovered && exists || stays(c, s, units) {
			next = append(next, c)
		}
	}
	return Snapshot{Containers: next}.Sorted()
}

// stays decides for a member of the set that podman does not show running.
func stays(c Container, s Sighting, units map[string]UnitState) bool {
	if u := units[c.Unit]; u.Loaded {
		switch {
		case u.Returning():
			return true
		case u.Active == "inactive", c.Job && u.Active == "failed":
			return false
		}
		// Also deactivating: on its way to inactive or failed, which are
		// changes of their own. Whether a failed one was told to stop only
		// the journal says (withoutStopped).
		return true
	}
	// Without a unit only podman can tell.
	return s.Ending() || s.Failed() && !s.StoppedByUser && !c.Job
}

// Returning reports whether the unit is down for a moment, and systemd is about to start it.
func (u UnitState) Returning() bool {
	return u.Active == "activating" || u.Job == "start" || u.Job == "restart"
}

// Failed reports whether the container has ended, and not well.
// podman says stopped before it has cleaned up, and exited after.
func (s Sighting) Failed() bool {
	return s.Ended() && s.ExitCode != 0
}

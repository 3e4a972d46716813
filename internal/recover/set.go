package recover

import "slices"

// NextSet is the running set now, from the last one and what podman and
// systemd show. What runs is in it. What was in it and does not run stays if
// it failed or is on its way (a failed app must not be forgotten) and leaves
// if someone stopped it. unrecovered names those that this run could not bring
// up: they are down, but nobody stopped them.
func NextSet(last []Container, sightings []Sighting, units map[string]UnitState, userStopped []string, unrecovered map[string]bool) []Container {
	var next []Container
	byName := map[string]Sighting{}
	for _, s := range sightings {
		byName[s.Name] = s
		if s.Running() && !s.Infra {
			next = append(next, s.Container)
		}
	}
	for _, c := range last {
		s, known := byName[c.Name]
		if known && s.Running() || slices.Contains(userStopped, c.Name) {
			continue
		}
		exists := known || units[c.Unit].Loaded
		if unrecovered[c.Name] && exists || stays(c, s, known, units) {
			next = append(next, c)
		}
	}
	return Snapshot{Containers: next}.sorted()
}

// stays decides for a member of the set that podman does not show running.
func stays(c Container, s Sighting, known bool, units map[string]UnitState) bool {
	if u := units[c.Unit]; u.Loaded {
		// inactive, deactivating: stopped, or stopping, on purpose.
		return u.Active == "failed" || u.Active == "activating" || u.Active == "active" || u.Active == "reloading"
	}
	// Without a unit only podman can tell.
	return known && s.State == "exited" && !slices.Contains(stopCodes, s.ExitCode)
}

// stopCodes are the exit codes that `podman stop` leaves behind: 0, and those
// of SIGINT, SIGKILL and SIGTERM.
var stopCodes = []int{0, 130, 137, 143}

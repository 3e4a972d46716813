package recover

import (
	"maps"
	"slices"
)

// Replay brings a set up to date with what happened after it was saved. events are
// in the order of time, oldest first. Replay works out what podman and systemd would
// show now, and NextSet decides from that, as it does for a daemon that looks. No
// container leaves the set because the host, or a user's manager, goes down.
func Replay(set []Container, events []HostEvent) []Container {
	return newReplay(set, events).set()
}

func newReplay(set []Container, events []HostEvent) *replay {
	r := &replay{
		ran:       map[string]Container{},
		sightings: map[string]Sighting{},
		units:     map[string]UnitState{},
		stopping:  map[string]bool{},
		begun:     map[string]int{},
		over:      map[string]int{},
		removed:   map[string]bool{},
	}
	for _, c := range set {
		r.runs(c)
	}
	goingDown := false
	for n, event := range events {
		r.now = n + 1
		switch e := event.(type) {
		case ManagerEnds:
			goingDown = true
		case HostUp:
			goingDown = false
		case ManagerBegins:
			goingDown = false
			r.revive()
		case ContainerStarted:
			r.started(e)
		default:
			if !goingDown {
				r.apply(event)
			}
		}
	}
	return r
}

func (r *replay) set() []Container {
	return NextSet(slices.Collect(maps.Values(r.ran)), slices.Collect(maps.Values(r.sightings)), r.units, nil)
}

// dead returns the names of the containers that died and were not started again.
func (r *replay) dead() map[string]bool {
	dead := map[string]bool{}
	for name, s := range r.sightings {
		if s.State == StateExited {
			dead[name] = true
		}
	}
	return dead
}

// A replay is the state of the host, as far as the events tell it.
type replay struct {
	ran       map[string]Container // each container that ran at some time
	sightings map[string]Sighting
	units     map[string]UnitState // only units that an event names
	stopping  map[string]bool      // units with a stop job that has not ended
	// begun and over say at which event a container was started and ended last, counted
	// from 1; now is the event that is applied.
	begun, over map[string]int
	now         int
	removed     map[string]bool // containers of units that podman does not know any more
}

func (r *replay) started(e ContainerStarted) {
	if CheckName(e.Name) != nil {
		return
	}
	before, known := r.sightings[e.Name]
	if e.Infra && !known {
		return // it comes with the members of its pod
	}
	r.runs(before.restarted(e.Container))
}

func (r *replay) runs(c Container) {
	r.ran[c.Name] = c
	r.sightings[c.Name] = Sighting{Container: c, State: StateRunning}
	delete(r.units, c.Unit)
	delete(r.stopping, c.Unit)
	r.begun[c.Name] = r.now
	delete(r.removed, c.Name)
	r.succeed(c.Unit)
}

// succeed drops the containers of a unit that were removed, and that one with another
// name was started after: the unit names no container, and runs each time another one.
func (r *replay) succeed(unit string) {
	if unit == "" {
		return
	}
	last := 0
	for name, s := range r.sightings {
		if s.Unit == unit && s.Running() {
			last = max(last, r.begun[name])
		}
	}
	for name, s := range r.sightings {
		if s.Unit == unit && s.State == StateExited && r.removed[name] && r.over[name] < last {
			delete(r.sightings, name)
			delete(r.ran, name)
		}
	}
}

// revive takes back the end of each container whose unit said nothing about an end.
// A user's manager that died took them along without announcing it.
func (r *replay) revive() {
	for name, s := range r.sightings {
		if !r.units[s.Unit].Loaded {
			s.State = StateRunning
			r.sightings[name] = s
		}
	}
}

func (r *replay) apply(event HostEvent) {
	switch e := event.(type) {
	case ContainerDied:
		r.died(e)
	case ContainerRemoved:
		// The unit, where there is one, says what the removal meant.
		if s, known := r.sightings[e.Name]; known && s.Unit == "" {
			delete(r.sightings, e.Name)
			delete(r.ran, e.Name) // also if it was missing before
		} else if known {
			r.removed[e.Name] = true
			r.succeed(s.Unit)
		}
	case UnitStopping:
		r.stopping[e.Unit] = true
	case UnitSucceeded:
		// A unit that only starts its container says so too: the container runs on.
		if !r.units[e.Unit].Loaded {
			r.units[e.Unit] = UnitState{Loaded: true, Active: "inactive"}
		}
	case UnitStopped:
		delete(r.stopping, e.Unit)
		if e.Restart {
			r.ended(e.Unit, "activating") // it is down for a moment
		} else {
			r.ended(e.Unit, "inactive")
		}
	case UnitFailed:
		if r.stopping[e.Unit] {
			r.ended(e.Unit, "inactive") // its UnitStopped follows
		} else {
			r.ended(e.Unit, "failed")
		}
	}
}

func (r *replay) died(e ContainerDied) {
	s, known := r.sightings[e.Name]
	if !known {
		return
	}
	s.State, s.ExitCode, s.StoppedByUser = StateExited, e.ExitCode, r.toldToStop(s.Unit, e.ExitCode)
	r.sightings[e.Name] = s
	r.over[e.Name] = r.now
}

// toldToStop guesses whether a container that died with code had been told to stop.
// For a container with a unit the guess holds until the unit says how it ended, some
// hundred milliseconds later. A daemon that was killed together with its containers
// can be back before that, so the guess has to be what the unit is going to say. A
// unit with a stop job said UnitStopping before its container died.
func (r *replay) toldToStop(unit string, code int) bool {
	if unit == "" {
		return slices.Contains(StopCodes, code)
	}
	return code == 0 || r.stopping[unit]
}

// ended sets the state of a unit that has ended. Its container has ended with it,
// also where podman had no time to say so.
func (r *replay) ended(unit, state string) {
	r.units[unit] = UnitState{Loaded: true, Active: state}
	for name, s := range r.sightings {
		if s.Unit == unit {
			s.State = StateExited
			r.sightings[name] = s
			r.over[name] = r.now
		}
	}
}

// StopCodes are the exit codes that `podman stop` leaves behind: 0, and those of
// SIGINT, SIGKILL and SIGTERM. podman's events do not say why a container died.
var StopCodes = []int{0, 130, 137, 143}

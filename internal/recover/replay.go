package recover

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Replay brings a set up to date with what the journal says happened after it
// was saved, oldest first: podman's events, and what the manager says of the
// units. So what was started and stopped while the daemon itself was dead is
// known too. From the journal it makes up what podman and systemd would show
// now; who belongs to the set then, NextSet says. When the host, or a user's
// manager, goes down, nothing leaves the set.
func Replay(set []Container, events []Entry) []Container {
	return newReplay(set, events).set()
}

func newReplay(set []Container, events []Entry) *replay {
	r := &replay{ran: map[string]Container{}, sightings: map[string]Sighting{}, units: map[string]UnitState{}, stopping: map[string]bool{}}
	for _, c := range set {
		r.runs(c)
	}
	goingDown := false
	for _, e := range events {
		switch {
		case endsManager(e):
			goingDown = true
		case e.ID == IDUnitStarted && e.Fields["UNIT"] == HostUp:
			goingDown = false
		case beginsManager(e):
			goingDown = false
			r.unstop()
		case e.Fields["PODMAN_EVENT"] == "start":
			r.started(e)
		case goingDown:
		case e.Fields["PODMAN_EVENT"] != "":
			r.podman(e)
		default:
			r.unit(e)
		}
	}
	return r
}

func (r *replay) set() []Container {
	return NextSet(slices.Collect(maps.Values(r.ran)), slices.Collect(maps.Values(r.sightings)), r.units, nil)
}

// dead are those that have died, and were not started since.
func (r *replay) dead() map[string]bool {
	dead := map[string]bool{}
	for name, s := range r.sightings {
		if s.State == "exited" {
			dead[name] = true
		}
	}
	return dead
}

// A replay is the host as the journal tells of it.
type replay struct {
	ran       map[string]Container // at some time
	sightings map[string]Sighting
	units     map[string]UnitState // those of which it tells
	stopping  map[string]bool      // units that someone stops
}

func (r *replay) started(e Entry) {
	name := e.Fields["PODMAN_NAME"]
	if CheckName(name) != nil {
		return
	}
	before, known := r.sightings[name]
	if strings.HasSuffix(name, "-infra") && !known {
		return // a pod's: it comes with its members
	}
	c := Container{Name: name, Image: e.Fields["PODMAN_IMAGE"]}
	var labels map[string]string
	if json.Unmarshal([]byte(e.Fields["PODMAN_LABELS"]), &labels) == nil {
		c.Unit = labels["PODMAN_SYSTEMD_UNIT"]
		if tier, err := ParseTier(labels[TierLabel]); err == nil {
			c.Tier = &tier
		}
	}
	if c.Unit == "" {
		c.Unit = before.Unit
	}
	r.runs(c)
}

func (r *replay) runs(c Container) {
	r.ran[c.Name] = c
	r.sightings[c.Name] = Sighting{Container: c, State: "running"}
	delete(r.units, c.Unit)
	delete(r.stopping, c.Unit)
}

// unstop takes back that containers without a word of their units ended: a
// manager that died did not announce that they would go with it.
func (r *replay) unstop() {
	for name, s := range r.sightings {
		if !r.units[s.Unit].Loaded {
			s.State = "running"
			r.sightings[name] = s
		}
	}
}

func (r *replay) podman(e Entry) {
	s, known := r.sightings[e.Fields["PODMAN_NAME"]]
	switch {
	case !known:
	case e.Fields["PODMAN_EVENT"] == "died":
		code, err := strconv.Atoi(e.Fields["PODMAN_EXIT_CODE"])
		if err != nil {
			code = -1 // not known: not taken for a stop
		}
		s.State, s.ExitCode, s.StoppedByUser = "exited", code, r.toldToStop(s.Unit, code)
		r.sightings[s.Name] = s
	case e.Fields["PODMAN_EVENT"] == "remove" && s.Unit == "": // else the unit says what that meant
		delete(r.sightings, s.Name)
	}
}

// toldToStop guesses whether someone stopped a container that died with an exit
// code. Of one with a unit this holds only until the unit has said how it
// ended, some hundred milliseconds later. A daemon that is killed together with
// its containers may be back by then: so it has to be what the unit will say.
// One that is being stopped said so before its container died.
func (r *replay) toldToStop(unit string, code int) bool {
	if unit == "" {
		return slices.Contains(StopCodes, code)
	}
	return code == 0 || r.stopping[unit]
}

func (r *replay) unit(e Entry) {
	unit := e.Fields["UNIT"] + e.Fields["USER_UNIT"] // one of them
	switch e.ID {
	case IDUnitStopping:
		r.stopping[unit] = true
	case IDUnitSuccess: // of one that only starts its container, too: that runs on
		if !r.units[unit].Loaded {
			r.units[unit] = UnitState{Loaded: true, Active: "inactive"}
		}
	case IDUnitStopped:
		delete(r.stopping, unit)
		if e.Fields["JOB_TYPE"] == "restart" {
			r.ended(unit, "activating") // down for a moment
		} else {
			r.ended(unit, "inactive")
		}
	case IDUnitResult:
		if r.stopping[unit] {
			r.ended(unit, "inactive") // that it is stopped is said next
		} else {
			r.ended(unit, "failed")
		}
	}
}

// ended: and with the unit its container, also should podman not have come to
// say so.
func (r *replay) ended(unit, state string) {
	r.units[unit] = UnitState{Loaded: true, Active: state}
	for name, s := range r.sightings {
		if s.Unit == unit {
			s.State = "exited"
			r.sightings[name] = s
		}
	}
}

// StopCodes are the exit codes that `podman stop` leaves behind: 0, and those
// of SIGINT, SIGKILL and SIGTERM. podman's events do not say what died of what.
var StopCodes = []int{0, 130, 137, 143}

// HostUp is the unit that is stopped when the host goes down, and reached again
// when that was no end of its boot: a soft reboot, or `systemctl isolate` there and
// back (systemd.special(7)).
const HostUp = "multi-user.target"

// endsManager: the host's shutdown was asked for, or begins, or PID 1 stops
// the manager of the user, or that exits by itself (systemctl --user exit).
func endsManager(e Entry) bool {
	unit := e.Fields["UNIT"]
	return e.ID == IDShutdown ||
		e.ID == IDUnitStopped && unit == HostUp ||
		e.ID == IDUnitStopping && strings.HasPrefix(unit, "user@") ||
		e.ID == IDUnitStopped && e.Fields["USER_UNIT"] == "default.target"
}

func beginsManager(e Entry) bool {
	return e.ID == IDUnitStarted && strings.HasPrefix(e.Fields["UNIT"], "user@")
}

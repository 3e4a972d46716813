package recover

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Replay brings a set up to date with what the journal says happened after it
// was saved, oldest first: podman's events, and what the manager says of the
// units. So what was started and stopped while the daemon itself was dead is
// known too. It follows the same rules as NextSet. When the host, or a user's
// manager, goes down, nothing leaves the set.
func Replay(set []Container, events []Entry) []Container {
	r := replay{set: map[string]Container{}, exit: map[string]int{}, down: map[string]bool{}}
	for _, c := range set {
		r.set[c.Name] = c
	}
	goingDown := false
	for _, e := range events {
		switch {
		case endsManager(e):
			goingDown = true
		case beginsManager(e):
			goingDown = false
			clear(r.exit) // what went with the manager was not stopped
		case e.Fields["PODMAN_EVENT"] == "start":
			r.started(e)
		case goingDown:
		case e.Fields["PODMAN_EVENT"] != "":
			r.podman(e)
		default:
			r.unit(e)
		}
	}
	return r.result()
}

type replay struct {
	set  map[string]Container
	exit map[string]int  // containers that died since their last start, and how
	down map[string]bool // units that were stopped or ended well since their last start
}

func (r *replay) started(e Entry) {
	name := e.Fields["PODMAN_NAME"]
	if CheckName(name) != nil {
		return
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
		c.Unit = r.set[name].Unit
	}
	if strings.HasSuffix(name, "-infra") && r.set[name].Name == "" {
		return // a pod's: it comes with its members
	}
	r.set[name] = c
	delete(r.exit, name)
	delete(r.down, c.Unit)
}

func (r *replay) podman(e Entry) {
	name := e.Fields["PODMAN_NAME"]
	switch e.Fields["PODMAN_EVENT"] {
	case "died":
		code, err := strconv.Atoi(e.Fields["PODMAN_EXIT_CODE"])
		if err != nil {
			code = -1 // not known: not taken for a stop
		}
		r.exit[name] = code
	case "remove":
		if r.set[name].Unit == "" { // else the unit says what that meant
			delete(r.set, name)
		}
	}
}

func (r *replay) unit(e Entry) {
	unit := e.Fields["UNIT"] + e.Fields["USER_UNIT"] // one of them
	switch e.ID {
	case IDUnitResult:
		r.down[unit] = false // failed: it stays
	case IDUnitStopped:
		r.down[unit] = true
	case IDUnitSuccess:
		if _, known := r.down[unit]; !known {
			r.down[unit] = true
		}
	}
}

// result drops what was stopped.
func (r *replay) result() []Container {
	var set []Container
	for name, c := range r.set {
		stopped, known := r.down[c.Unit]
		if !known || c.Unit == "" {
			code, died := r.exit[name]
			stopped = died && slices.Contains(stopCodes, code)
		}
		if !stopped {
			set = append(set, c)
		}
	}
	return Snapshot{Containers: set}.sorted()
}

// stopCodes are the exit codes that `podman stop` leaves behind: 0, and those
// of SIGINT, SIGKILL and SIGTERM. podman's events do not say what died of what.
var stopCodes = []int{0, 130, 137, 143}

// endsManager: the host's shutdown was asked for, or begins, or PID 1 stops
// the manager of the user.
func endsManager(e Entry) bool {
	unit := e.Fields["UNIT"]
	return e.ID == IDShutdown ||
		e.ID == IDUnitStopped && (unit == "multi-user.target" || unit == "graphical.target") ||
		e.ID == msgUnitStopping && strings.HasPrefix(unit, "user@")
}

func beginsManager(e Entry) bool {
	return e.ID == msgUnitStarted && strings.HasPrefix(e.Fields["UNIT"], "user@")
}

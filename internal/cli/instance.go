package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"archy-recovery/internal/config"
	"archy-recovery/internal/control"
	"archy-recovery/internal/units"
)

// An Instance is the system instance, or the instance of a user.
type Instance struct {
	UID    int // 0 for the system instance
	System bool
}

// socketDirectory has the sockets of all instances. Tests replace it.
var socketDirectory = "/run/archy-recovery/"

// instances returns the instances whose sockets exist.
func instances() (all []Instance) {
	entries, _ := os.ReadDir(socketDirectory) // no directory, no instances
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".sock")
		uid, err := strconv.Atoi(name)
		switch {
		case ok && name == "control":
			all = append(all, Instance{System: true})
		case ok && err == nil:
			all = append(all, Instance{UID: uid})
		}
	}
	return all
}

// Name is the instance's name in unit and file names: "" or the UID.
func (i Instance) Name() string {
	if i.System {
		return ""
	}
	return strconv.Itoa(i.UID)
}

// Title is the instance's name for people and for the API: "system" or the UID.
func (i Instance) Title() string {
	if i.System {
		return "system"
	}
	return i.Name()
}

// Unit is the service unit of the daemon, in the system manager.
func (i Instance) Unit() string {
	if i.System {
		return "archy-recovery.service"
	}
	return "archy-recovery@" + i.Name() + ".service"
}

func (i Instance) socketUnit() string {
	return strings.TrimSuffix(i.Unit(), ".service") + ".socket"
}

func (i Instance) timerUnit() string {
	if i.System {
		return "archy-recovery-snapshot.timer"
	}
	return "archy-recovery-snapshot@" + i.Name() + ".timer"
}

func (i Instance) socket() string {
	if i.System {
		return socketDirectory + "control.sock"
	}
	return socketDirectory + i.Name() + ".sock"
}

// PodmanSocket is the path of the libpod API socket of the instance's user.
func (i Instance) PodmanSocket() string {
	if i.System {
		return "/run/podman/podman.sock"
	}
	return fmt.Sprintf("/run/user/%d/podman/podman.sock", i.UID)
}

// NetworkAnswer is the file in which the unit that looks at the rules of root's networks leaves its
// answer.
const NetworkAnswer = "/run/archy-recovery-network-check/answer.json"

// StorageAnswer is the file in which the unit that checks podman's storage leaves its answer.
func (i Instance) StorageAnswer() string {
	if i.System {
		return "/run/archy-recovery-check/answer.json"
	}
	return fmt.Sprintf("/run/user/%d/archy-recovery-check/answer.json", i.UID)
}

// DataDirectory is DataDirectory= of the configuration, else StateDirectory= of
// the unit (systemd.exec(5)), else the directory that the unit would get.
func (i Instance) DataDirectory(c config.Config) string {
	switch {
	case c.DataDirectory != "":
		return c.DataDirectory
	case os.Getenv("STATE_DIRECTORY") != "":
		return os.Getenv("STATE_DIRECTORY")
	case i.System:
		return "/var/lib/archy-recovery"
	}
	return "/var/lib/archy-recovery/" + i.Name()
}

// Manager returns the systemd manager that runs the instance's containers.
func (i Instance) Manager() *units.Manager {
	if i.System {
		return units.New(units.SystemBus, "/run/systemd/system", i.Unit())
	}
	return units.New(units.UserBus(i.UID), fmt.Sprintf("/run/user/%d/systemd/user", i.UID), "")
}

// SystemManager returns the system manager, which runs the daemons of all
// instances.
func SystemManager() *units.Manager { return Instance{System: true}.Manager() }

func (i Instance) client() *control.Client { return control.NewClient(i.socket()) }

// flag is the flag that picks the instance in a command that we advise, with a
// space before it. It is "" for the instance that is the user's default.
func (i Instance) flag() string {
	switch byDefault, _ := (&globalFlags{uid: -1}).pick(); {
	case i == byDefault:
		return ""
	case i.System:
		return " --system"
	}
	return " --uid " + i.Name()
}

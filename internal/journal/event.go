package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/labels"
	"archy-recovery/internal/recover"
)

// Events returns, oldest first, what happened in a boot later than since: podman's
// events of our containers, and what their manager says of itself and of its units.
// It leaves out ends of units that change nothing (see thinOut).
func (r *Reader) Events(ctx context.Context, boot string, since time.Duration) ([]recover.HostEvent, error) {
	var events []recover.HostEvent
	counts := thinOut()
	err := r.each(ctx, func(e entry) bool {
		if e.monotonic <= since {
			return false
		}
		if event := eventOf(e, r.uid); event != nil && counts(event) {
			events = append(events, event)
		}
		return true
	}, append([]string{"--reverse"}, r.eventMatch(boot)...)...)
	slices.Reverse(events)
	return events, err
}

// eventMatch returns the match of journalctl(1) for the entries that can be events.
// Each alternative names a field that only journald can set.
func (r *Reader) eventMatch(boot string) []string {
	uid := "_UID=" + strconv.Itoa(r.uid)
	// podman tells of each health check too, twice a minute and container.
	match := []string{"_BOOT_ID=" + boot, "PODMAN_TYPE=container", uid,
		"PODMAN_EVENT=start", "PODMAN_EVENT=died", "PODMAN_EVENT=remove"}
	or := func(words ...string) { match = append(append(match, "+", "_BOOT_ID="+boot), words...) }
	or("MESSAGE_ID="+idShutdown, "_UID=0")
	or("_PID=1", "UNIT="+multiUser)
	units := []string{
		"MESSAGE_ID=" + idUnitStopping,
		"MESSAGE_ID=" + idUnitStopped,
		"MESSAGE_ID=" + idUnitSucceeded,
		"MESSAGE_ID=" + idUnitResult,
	}
	if r.uid == 0 {
		or(append(units, "_PID=1")...)
	} else {
		// A user's manager writes as the user, with USER_UNIT= for its own units. PID 1
		// says when that manager begins and ends.
		or(append(units, uid, "SYSLOG_IDENTIFIER=systemd")...)
		or("_PID=1", fmt.Sprintf("UNIT=%s%d.service", userManager, r.uid))
	}
	return match
}

// eventOf returns what an entry says happened, nil if that is nothing to a replay.
// uid is the user who runs the containers.
func eventOf(e entry, uid int) recover.HostEvent {
	unit := e.fields["UNIT"]
	ofUser := strings.HasPrefix(unit, userManager)
	switch {
	case uid == 0 && ofUser:
		return nil // a user's manager does not run root's containers
	case e.id == idShutdown, // logind was asked for a shutdown
		e.id == idUnitStopped && unit == multiUser,                    // it begins unasked
		e.id == idUnitStopping && ofUser,                              // PID 1 stops the user's manager
		e.id == idUnitStopped && e.fields["USER_UNIT"] == userDefault: // that exits by itself
		return recover.ManagerEnds{}
	case e.id == idUnitStarted && unit == multiUser:
		return recover.HostUp{}
	case e.id == idUnitStarted && ofUser:
		return recover.ManagerBegins{}
	case e.fields["PODMAN_EVENT"] != "":
		return containerEvent(e)
	}
	return unitEvent(e.id, unit+e.fields["USER_UNIT"], e.fields["JOB_TYPE"]) // it has one of the two
}

// containerEvent reads an event of podman (podman-events(1)).
func containerEvent(e entry) recover.HostEvent {
	name := e.fields["PODMAN_NAME"]
	switch e.fields["PODMAN_EVENT"] {
	case "start":
		// podman gives an infra container the ID of its pod, and this suffix.
		started := recover.ContainerStarted{Infra: strings.HasSuffix(name, "-infra")}
		started.Name, started.Image = name, e.fields["PODMAN_IMAGE"]
		var set map[string]string
		if json.Unmarshal([]byte(e.fields["PODMAN_LABELS"]), &set) == nil {
			labels.Read(&started.Container, set)
		}
		return started
	case "died":
		code, err := strconv.Atoi(e.fields["PODMAN_EXIT_CODE"])
		if err != nil {
			code = recover.UnknownExit
		}
		return recover.ContainerDied{Name: name, ExitCode: code}
	case "remove":
		return recover.ContainerRemoved{Name: name}
	}
	return nil
}

func unitEvent(id, unit, job string) recover.HostEvent {
	switch id {
	case idUnitStopping:
		return recover.UnitStopping{Unit: unit}
	case idUnitStopped:
		return recover.UnitStopped{Unit: unit, Restart: job == "restart"}
	case idUnitSucceeded:
		return recover.UnitSucceeded{Unit: unit}
	case idUnitResult:
		return recover.UnitFailed{Unit: unit}
	}
	return nil
}

// thinOut returns a function that tells, event by event from the last one backwards,
// which of them count. While a set does not change for weeks, the services of timers
// end tens of thousands of times. Of equal ends of a unit between two events of
// another kind, only the last one matters (see recover.Replay).
func thinOut() func(recover.HostEvent) bool {
	later := map[recover.HostEvent]bool{}
	return func(event recover.HostEvent) bool {
		switch event.(type) {
		case recover.UnitSucceeded, recover.UnitFailed:
			known := later[event]
			later[event] = true
			return !known
		}
		clear(later)
		return true
	}
}

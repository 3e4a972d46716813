package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/labels"
	"archy-recovery/internal/recover"
)

// eventFields are the fields that events are made of. The text of an entry is not among
// them: that of podman repeats all labels, and a boot has tens of thousands.
const eventFields = "MESSAGE_ID,_TRANSPORT,_PID,_UID,_SYSTEMD_UNIT,UNIT,USER_UNIT,JOB_TYPE," +
	"PODMAN_EVENT,PODMAN_NAME,PODMAN_POD_ID,PODMAN_IMAGE,PODMAN_EXIT_CODE,PODMAN_LABELS"

// Events returns, oldest first, what happened in a boot later than since: podman's
// events of our containers, what their manager says of itself, and what it says of the
// named units and of those that podman started containers for. The other units of a
// host end tens of thousands of times. With an error it returns the newest events, as
// far as they could be read. It leaves out ends of units that change nothing (see
// thinOut).
func (r *Reader) Events(
	ctx context.Context, boot string, since time.Duration, units []string,
) ([]recover.HostEvent, error) {
	events, err := r.events(ctx, since, nil, r.eventMatch(boot, nil, units))
	if started := unitsStarted(events, units); len(started) > 0 {
		more, moreErr := r.events(ctx, since, nil, r.unitMatch(boot, started))
		events, err = append(events, more...), errors.Join(err, moreErr)
		slices.SortStableFunc(events, func(a, b timedEvent) int { return cmp.Compare(a.at, b.at) })
	}
	return withoutTimes(events), err
}

// EventsOf is Events for the given containers and their units only. It reads back to
// the last start of each: what was before says nothing of how it ended since.
func (r *Reader) EventsOf(
	ctx context.Context, boot string, since time.Duration, containers []recover.Container,
) ([]recover.HostEvent, error) {
	var names, units []string
	for _, c := range containers {
		names = append(names, c.Name)
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	events, err := r.events(ctx, since, names, r.eventMatch(boot, names, units))
	return withoutTimes(events), err
}

// A timedEvent is an event and when it was.
type timedEvent struct {
	at time.Duration // since the boot began
	recover.HostEvent
}

func withoutTimes(timed []timedEvent) []recover.HostEvent {
	var events []recover.HostEvent
	for _, e := range timed {
		events = append(events, e.HostEvent)
	}
	return events
}

// EventsCommand returns the arguments of journalctl(1) with which the events of a boot are read, of all containers and
// of the units. A benchmark compares the daemon with that alone.
func (r *Reader) EventsCommand(boot string, units []string) []string {
	return withFields(eventFields, append([]string{"--reverse"}, r.eventMatch(boot, nil, units)...))
}

// events reads backwards, to since or to the last start of each of the named containers.
func (r *Reader) events(
	ctx context.Context, since time.Duration, names, match []string,
) ([]timedEvent, error) {
	var events []timedEvent
	counts := thinOut()
	unstarted := map[string]bool{}
	for _, name := range names {
		unstarted[name] = true
	}
	err := r.eachWith(ctx, eventFields, func(e entry) bool {
		if e.monotonic <= since {
			return false
		}
		event := eventOf(e, r.uid)
		if event != nil && counts(event) {
			events = append(events, timedEvent{e.monotonic, event})
		}
		if started, ok := event.(recover.ContainerStarted); ok && unstarted[started.Name] {
			delete(unstarted, started.Name)
			return len(unstarted) > 0
		}
		return true
	}, append([]string{"--reverse"}, match...)...)
	slices.Reverse(events)
	return events, err
}

// unitsStarted are the units of the containers that were started, without the known ones.
func unitsStarted(events []timedEvent, known []string) []string {
	var units []string
	for _, e := range events {
		started, ok := e.HostEvent.(recover.ContainerStarted)
		if ok && started.Unit != "" && !slices.Contains(known, started.Unit) && !slices.Contains(units, started.Unit) {
			units = append(units, started.Unit)
		}
	}
	return units
}

// eventMatch returns the match of journalctl(1) for the entries that can be events: of
// the named containers, or of all without names, of the units, and of their manager.
// Each alternative names a field that only journald can set.
func (r *Reader) eventMatch(boot string, containers, units []string) []string {
	uid := "_UID=" + strconv.Itoa(r.uid)
	// podman tells of each health check too, twice a minute and container.
	match := []string{"_BOOT_ID=" + boot, "PODMAN_TYPE=container", uid,
		"PODMAN_EVENT=start", "PODMAN_EVENT=died", "PODMAN_EVENT=stop", "PODMAN_EVENT=remove"}
	for _, name := range containers {
		match = append(match, "PODMAN_NAME="+name)
	}
	or := func(words ...string) { match = append(append(match, "+"), words...) }
	or("_BOOT_ID="+boot, "MESSAGE_ID="+idShutdown, "_UID=0")
	or("_BOOT_ID="+boot, "_PID=1", "UNIT="+multiUser)
	if r.uid != 0 {
		// PID 1 says when a user's manager begins and ends.
		or("_BOOT_ID="+boot, "_PID=1", fmt.Sprintf("UNIT=%s%d.service", userManager, r.uid))
		units = append(slices.Clone(units), userDefault)
	}
	if len(units) > 0 {
		or(r.unitMatch(boot, units)...)
	}
	return match
}

// unitMatch returns the match for the ends of units.
func (r *Reader) unitMatch(boot string, units []string) []string {
	match := []string{"_BOOT_ID=" + boot,
		"MESSAGE_ID=" + idUnitStopping,
		"MESSAGE_ID=" + idUnitStopped,
		"MESSAGE_ID=" + idUnitSucceeded,
		"MESSAGE_ID=" + idUnitResult,
	}
	field := "UNIT="
	if r.uid == 0 {
		match = append(match, "_PID=1")
	} else {
		// A user's manager writes as the user, with USER_UNIT= for its own units.
		match = append(match, "_UID="+strconv.Itoa(r.uid), "SYSLOG_IDENTIFIER=systemd")
		field = "USER_UNIT="
	}
	for _, unit := range units {
		match = append(match, field+unit)
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
		started := recover.ContainerStarted{Infra: isInfra(name, e.fields["PODMAN_POD_ID"])}
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
	case "stop":
		return recover.ContainerStopped{Name: name}
	case "remove":
		return recover.ContainerRemoved{Name: name}
	}
	return nil
}

// infraName is the name that podman gives an infra container: the beginning of the ID of
// its pod, and this suffix.
var infraName = regexp.MustCompile(`^[0-9a-f]{12}-infra$`)

// isInfra reports whether a container is the infra container of a pod. Quadlet gives it the
// name of the pod with the suffix. The event of a container in a pod has the pod's ID.
func isInfra(name, pod string) bool {
	return infraName.MatchString(name) || pod != "" && strings.HasSuffix(name, "-infra")
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

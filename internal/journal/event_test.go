package journal

import (
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEvents(t *testing.T) {
	one := 1
	started := func(c recover.Container, infra bool) recover.HostEvent {
		return recover.ContainerStarted{Container: c, Infra: infra}
	}
	for name, c := range map[string]struct {
		id     string
		fields string // NAME=value, one a line
		uid    int
		want   recover.HostEvent
	}{
		"nothing": {"", "", 1000, nil},
		"container started": {"", "PODMAN_EVENT=start\nPODMAN_NAME=a\nPODMAN_IMAGE=i\n" +
			`PODMAN_LABELS={"PODMAN_SYSTEMD_UNIT":"a.service","io.archy.tier":"1"}`, 1000,
			started(recover.Container{Name: "a", Image: "i", Unit: "a.service", Tier: &one}, false)},
		"container with a bad tier": {"", "PODMAN_EVENT=start\nPODMAN_NAME=a\n" +
			`PODMAN_LABELS={"io.archy.tier":"-1"}`, 1000, started(recover.Container{Name: "a"}, false)},
		"container with damaged labels": {"", "PODMAN_EVENT=start\nPODMAN_NAME=a\nPODMAN_LABELS={", 1000,
			started(recover.Container{Name: "a"}, false)},
		"infra container": {"", "PODMAN_EVENT=start\nPODMAN_NAME=4f2a77c0d1e2-infra", 1000,
			started(recover.Container{Name: "4f2a77c0d1e2-infra"}, true)},
		"infra container of a Quadlet pod": {"",
			"PODMAN_EVENT=start\nPODMAN_NAME=systemd-web-infra\nPODMAN_POD_ID=4f2a", 1000,
			started(recover.Container{Name: "systemd-web-infra"}, true)},
		"container that is only called so": {"", "PODMAN_EVENT=start\nPODMAN_NAME=home-infra", 1000,
			started(recover.Container{Name: "home-infra"}, false)},
		"container died": {"", "PODMAN_EVENT=died\nPODMAN_NAME=a\nPODMAN_EXIT_CODE=137", 1000,
			recover.ContainerDied{Name: "a", ExitCode: 137}},
		"container died without an exit code": {"", "PODMAN_EVENT=died\nPODMAN_NAME=a", 1000,
			recover.ContainerDied{Name: "a", ExitCode: recover.UnknownExit}},
		"container stopped":   {"", "PODMAN_EVENT=stop\nPODMAN_NAME=a", 1000, recover.ContainerStopped{Name: "a"}},
		"container removed":   {"", "PODMAN_EVENT=remove\nPODMAN_NAME=a", 1000, recover.ContainerRemoved{Name: "a"}},
		"health check":        {"", "PODMAN_EVENT=health_status\nPODMAN_NAME=a", 1000, nil},
		"unit stopping":       {idUnitStopping, "UNIT=a.service", 0, recover.UnitStopping{Unit: "a.service"}},
		"unit stopped":        {idUnitStopped, "UNIT=a.service", 0, recover.UnitStopped{Unit: "a.service"}},
		"user's unit stopped": {idUnitStopped, "USER_UNIT=a.service", 1000, recover.UnitStopped{Unit: "a.service"}},
		"unit stopped by a restart": {idUnitStopped, "UNIT=a.service\nJOB_TYPE=restart", 0,
			recover.UnitStopped{Unit: "a.service", Restart: true}},
		"unit succeeded":         {idUnitSucceeded, "UNIT=a.service", 0, recover.UnitSucceeded{Unit: "a.service"}},
		"unit failed":            {idUnitResult, "UNIT=a.service", 0, recover.UnitFailed{Unit: "a.service"}},
		"unit started":           {idUnitStarted, "UNIT=a.service", 0, nil},
		"shutdown asked for":     {idShutdown, "SHUTDOWN=reboot", 1000, recover.ManagerEnds{}},
		"host goes down unasked": {idUnitStopped, "UNIT=multi-user.target", 1000, recover.ManagerEnds{}},
		"host is up again":       {idUnitStarted, "UNIT=multi-user.target", 1000, recover.HostUp{}},
		"desktop ends": {idUnitStopped, "UNIT=graphical.target", 0,
			recover.UnitStopped{Unit: "graphical.target"}},
		"user's manager stopping": {idUnitStopping, "UNIT=user@1000.service", 1000, recover.ManagerEnds{}},
		"user's manager exits":    {idUnitStopped, "USER_UNIT=default.target", 1000, recover.ManagerEnds{}},
		"user's manager started":  {idUnitStarted, "UNIT=user@1000.service", 1000, recover.ManagerBegins{}},
		"other user stopping":     {idUnitStopping, "UNIT=user@1000.service", 0, nil},
		"other user started":      {idUnitStarted, "UNIT=user@1000.service", 0, nil},
		"other user stopped":      {idUnitStopped, "UNIT=user@1000.service", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := entry{id: c.id, fields: map[string]string{}}
			for line := range strings.Lines(c.fields) {
				field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				e.fields[field] = value
			}
			if diff := cmp.Diff(c.want, eventOf(e, c.uid)); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// Entries about the ends of managers decide which other entries count.
func TestReplayEntries(t *testing.T) {
	pid1 := func(id, unit string) string { return object(messageID(id), `"UNIT":"`+unit+`"`, byPID1) }
	manager := func(id, unit string) string { return object(messageID(id), `"USER_UNIT":"`+unit+`"`, byManager) }
	died := func(name, code string) string {
		return object(`"PODMAN_EVENT":"died"`, `"PODMAN_NAME":"`+name+`"`, `"PODMAN_EXIT_CODE":"`+code+`"`, byManager)
	}
	removed := object(`"PODMAN_EVENT":"remove"`, `"PODMAN_NAME":"quad"`, byManager)
	shutdown := object(messageID(idShutdown), `"SHUTDOWN":"reboot"`, byLogind)
	quadStopped := manager(idUnitStopped, "quad.service")
	for name, c := range map[string]struct {
		entries []string
		want    string
	}{
		"user's unit stopped": {[]string{died("quad", "0"), removed, quadStopped}, "plain"},
		"host goes down": {
			[]string{shutdown, died("plain", "0"), died("quad", "0"), removed, quadStopped}, "plain quad"},
		"host goes down unasked": {
			[]string{pid1(idUnitStopped, "multi-user.target"), died("quad", "0"), quadStopped}, "plain quad"},
		"soft reboot, then stops": {
			[]string{shutdown, quadStopped, pid1(idUnitStarted, "multi-user.target"), died("plain", "0"), quadStopped}, ""},
		"desktop ends": {
			[]string{pid1(idUnitStopped, "graphical.target"), died("plain", "0"), quadStopped}, ""},
		"user's manager exits": {
			[]string{manager(idUnitStopped, "default.target"), died("quad", "0"), quadStopped, died("plain", "143"),
				pid1(idUnitStarted, "user@1000.service")}, "plain quad"},
		"user's manager is stopped": {
			[]string{pid1(idUnitStopping, "user@1000.service"), died("quad", "0"), quadStopped, died("plain", "143"),
				pid1(idUnitStarted, "user@1000.service")}, "plain quad"},
		"user's manager dies": {
			[]string{died("plain", "143"), pid1(idUnitStarted, "user@1000.service")}, "plain quad"},
	} {
		t.Run(name, func(t *testing.T) {
			entries, _, err := parseAll(strings.NewReader(strings.Join(c.entries, "\n")), 1000)
			if err != nil {
				t.Fatal(err)
			}
			set := []recover.Container{{Name: "quad", Unit: "quad.service"}, {Name: "plain"}}
			var names []string
			for _, member := range recover.Replay(set, eventsOf(entries, 1000)) {
				names = append(names, member.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("the set is %q, want %q", got, c.want)
			}
		})
	}
}

// A replay of the events that Events keeps makes the same set as one of all events.
func TestThinOut(t *testing.T) {
	set := []recover.Container{{Name: "a", Unit: "a.service"}, {Name: "plain"}}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOf(rapid.Custom(event)).Draw(t, "events")
		since := rapid.IntRange(0, len(events)).Draw(t, "since")
		var read []recover.HostEvent
		counts := thinOut()
		for _, e := range slices.Backward(events[since:]) {
			if counts(e) {
				read = append(read, e)
			}
		}
		slices.Reverse(read)
		if diff := cmp.Diff(recover.Replay(set, events[since:]), recover.Replay(set, read)); diff != "" {
			t.Errorf("the set by all events (-) and by those that are kept (+):\n%s", diff)
		}
	})
}

// event draws an event that Events can return.
func event(t *rapid.T) recover.HostEvent {
	unit := rapid.SampledFrom([]string{"a.service", "a.service", "timer.service"}).Draw(t, "unit")
	name := rapid.SampledFrom([]string{"a", "plain"}).Draw(t, "name")
	restart := rapid.Bool().Draw(t, "restart")
	return rapid.SampledFrom([]recover.HostEvent{
		recover.ContainerStarted{Container: recover.Container{Name: name}},
		recover.ContainerDied{Name: name, ExitCode: 1},
		recover.ContainerRemoved{Name: name},
		recover.ManagerEnds{}, recover.ManagerBegins{}, recover.HostUp{},
		recover.UnitSucceeded{Unit: unit}, recover.UnitSucceeded{Unit: unit}, recover.UnitFailed{Unit: unit},
		recover.UnitStopping{Unit: unit}, recover.UnitStopped{Unit: unit, Restart: restart},
	}).Draw(t, "event")
}

// Events reads backwards, and no further than to the given time.
func TestEventsSince(t *testing.T) {
	ended := func(at string) string {
		return object(`"MESSAGE_ID":"`+idUnitStopped+`"`, `"UNIT":"`+at+`.service"`,
			`"__MONOTONIC_TIMESTAMP":"`+at+`"`, byPID1)
	}
	r := journalctl(t, prints(strings.Join([]string{ended("9"), ended("5"), ended("3"), ended("4")}, "\n")))
	got, err := r.Events(t.Context(), "b", 3000, nil)
	want := []recover.HostEvent{recover.UnitStopped{Unit: "5.service"}, recover.UnitStopped{Unit: "9.service"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, events (-want +got):\n%s", err, diff)
	}
}

// A user's manager that stops ends the containers of that user. To root's instance it
// is a unit like others.
func TestUserManagerEnds(t *testing.T) {
	r := journalctl(t, prints(object(`"MESSAGE":"Stopping"`, `"MESSAGE_ID":"`+idUnitStopping+`"`,
		`"UNIT":"user@1000.service"`, `"__CURSOR":"c"`, `"__MONOTONIC_TIMESTAMP":"9"`, byPID1)))
	for uid, want := range map[int]int{0: 0, 1000: 1} {
		r.uid = uid
		if got, err := r.Events(t.Context(), "b", 0, nil); err != nil || len(got) != want {
			t.Errorf("uid %d: %+v, %v", uid, got, err)
		}
	}
}

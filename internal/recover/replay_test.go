package recover

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// story makes host events of text such as "start web web.service; died web 1;
// stopped web.service; manager-ends". A line end separates events as well as a
// semicolon.
func story(lines string) []HostEvent {
	one := 1
	var events []HostEvent
	for line := range strings.FieldsFuncSeq(lines, func(r rune) bool { return r == '\n' || r == ';' }) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		w = append(w, "", "")
		var event HostEvent
		switch w[0] {
		case "start":
			c := Container{Name: w[1], Image: "image", Unit: w[2]}
			if c.Unit != "" {
				c.Tier = &one
			}
			event = ContainerStarted{Container: c, Infra: strings.HasSuffix(w[1], "-infra")}
		case "died":
			code, err := strconv.Atoi(w[2])
			if err != nil {
				code = UnknownExit
			}
			event = ContainerDied{w[1], code}
		case "remove":
			event = ContainerRemoved{w[1]}
		case "stopped":
			event = UnitStopped{Unit: w[1]}
		case "restopped": // by a restart
			event = UnitStopped{Unit: w[1], Restart: true}
		case "stopping":
			event = UnitStopping{w[1]}
		case "ended":
			event = UnitSucceeded{w[1]}
		case "started": // a unit: its container's start tells it all
			continue
		case "failed":
			event = UnitFailed{w[1]}
		case "shutdown", "manager-ends":
			event = ManagerEnds{}
		case "manager-begins":
			event = ManagerBegins{}
		case "host-up":
			event = HostUp{}
		default:
			panic(line)
		}
		events = append(events, event)
	}
	return events
}

func TestReplay(t *testing.T) {
	set := []Container{{Name: "quad", Unit: "quad.service"}, {Name: "plain"}}
	for name, c := range map[string]struct{ story, want string }{
		"nothing": {"", "plain quad"},
		"started": {"start new new.service", "new plain quad"},
		"started, then unit stopped": {
			"start new new.service; died new 0; remove new; ended new.service; stopped new.service", "plain quad"},
		"unit stopped": {"died quad 0; remove quad; stopped quad.service", "plain"},
		"unit failed":  {"died quad 1; remove quad; failed quad.service", "plain quad"},
		"unit without a fixed name restarts": {
			"start n1 run.service; died n1 1; remove n1; start n2 run.service", "n2 plain quad"},
		"unit without a fixed name restarts, removal is late": {
			"start n1 run.service; died n1 1; start n2 run.service; remove n1", "n2 plain quad"},
		"one of two containers of a unit fails": {
			"start n1 run.service; start n2 run.service; died n1 1; remove n1", "n1 n2 plain quad"},
		"unit failed, container killed": {"died quad 137; remove quad; failed quad.service", "plain quad"},
		"unit failed, restarted, stopped": {
			"died quad 1; failed quad.service; start quad quad.service; died quad 0; stopped quad.service", "plain"},
		"unit stopped, started":                 {"died quad 0; stopped quad.service; start quad quad.service", "plain quad"},
		"podman stop, unit succeeded":           {"died quad 0; remove quad; ended quad.service", "plain"},
		"container failed, unit's word lost":    {"died quad 1; remove quad", "plain quad"},
		"unit stopped, podman's word lost":      {"stopped quad.service", "plain"},
		"container killed, unit's word not yet": {"died quad 137; remove quad", "plain quad"},
		"unit stopping, container killed, unit's word not yet": {
			"stopping quad.service; died quad 137; remove quad", "plain"},
		"unit stopping, failed, not stopped yet": {
			"stopping quad.service; died quad 137; remove quad; failed quad.service", "plain"},
		"unit restarting": {
			"stopping quad.service; died quad 0; remove quad; ended quad.service; restopped quad.service", "plain quad"},
		"unit restarting after it failed": {
			"died quad 1; remove quad; failed quad.service; restopped quad.service", "plain quad"},
		"unit restarting after it succeeded": {
			"died quad 0; remove quad; ended quad.service; restopped quad.service", "plain quad"},
		"unit restarted, stopped": {"restopped quad.service; stopped quad.service", "plain"},
		"unit stopped, started, container killed": {
			"stopping quad.service; died quad 0; stopped quad.service; start quad quad.service; died quad 137", "plain quad"},
		"no unit, stopped":           {"died plain 143", "quad"},
		"no unit, failed":            {"died plain 2", "plain quad"},
		"no unit, unknown exit code": {"died plain", "plain quad"},
		"no unit, removed":           {"died plain 1; remove plain", "quad"},
		"host goes down": {
			"shutdown; died plain 0; died quad 0; remove quad; stopped quad.service", "plain quad"},
		"host goes down, no unit's word": {"manager-ends; died quad 0; stopped quad.service", "plain quad"},
		"soft reboot, then stops": {
			"shutdown; stopped quad.service; host-up; died plain 0; stopped quad.service", ""},
		"soft reboot":                    {"manager-ends; died quad 0; stopped quad.service; host-up", "plain quad"},
		"stop before a soft reboot":      {"died plain 0; manager-ends; host-up", "quad"},
		"other target stopped":           {"stopped graphical.target; died plain 0; stopped quad.service", ""},
		"stop before the host goes down": {"died plain 0; shutdown; died quad 0; stopped quad.service", "quad"},
		"user's manager ends and begins": {
			"manager-ends; died quad 0; stopped quad.service; died plain 143; manager-begins", "plain quad"},
		"user's manager begins without an end": {"died plain 143; manager-begins", "plain quad"},
		"unit that only starts its container":  {"start new new.service; ended new.service", "new plain quad"},
		"invalid name":                         {"start ../x x.service", "plain quad"},
		"infra container":                      {"start 4f2a-infra", "plain quad"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Replay(set, story(c.story))
			if names := strings.Join(names(got), " "); names != c.want {
				t.Errorf("the set is %q, want %q", names, c.want)
			}
		})
	}
	got := Replay([]Container{{Name: "late", Unrecovered: true}}, story("died late 0"))
	if len(got) != 1 || !got[0].Unrecovered {
		t.Errorf("an unrecovered member has become %+v", got)
	}
	one := 1
	got = Replay(nil, story("start new new.service"))
	want := []Container{{Name: "new", Unit: "new.service", Tier: &one, Image: "image"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("joined as (-want +got):\n%s", diff)
	}
}

// A started container keeps each field that podman tells, also one that is new.
func TestReplayContainerFields(t *testing.T) {
	listed := Container{Name: "new"}
	v := reflect.ValueOf(&listed).Elem()
	for i := range v.NumField() {
		switch name, field := v.Type().Field(i).Name, v.Field(i); {
		case name == "Name", name == "Unrecovered", name == "Missing": // one that runs is neither
		case field.Kind() == reflect.String:
			field.SetString("x")
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		case field.Kind() == reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		default:
			t.Fatalf("the test cannot fill the field %s", name)
		}
	}
	remembered := Container{Name: "new", Unrecovered: true, Missing: &Missing{Boots: 1}}
	replayed := Replay([]Container{remembered}, []HostEvent{ContainerStarted{Container: listed}})
	if diff := cmp.Diff([]Container{listed}, replayed); diff != "" {
		t.Errorf("after a start (-want +got):\n%s", diff)
	}
}

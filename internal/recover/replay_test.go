package recover_test

import (
	"reflect"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

func TestReplay(t *testing.T) {
	set := []recover.Container{{Name: "quad", Unit: "quad.service"}, {Name: "plain"}}
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
			got := recover.Replay(set, recovertest.Story(c.story))
			if names := strings.Join(recovertest.Names(got), " "); names != c.want {
				t.Errorf("the set is %q, want %q", names, c.want)
			}
		})
	}
	got := recover.Replay([]recover.Container{{Name: "late", Unrecovered: true}}, recovertest.Story("died late 0"))
	if len(got) != 1 || !got[0].Unrecovered {
		t.Errorf("an unrecovered member has become %+v", got)
	}
	one := 1
	got = recover.Replay(nil, recovertest.Story("start new new.service"))
	want := []recover.Container{{Name: "new", Unit: "new.service", Tier: &one, Image: "image"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("joined as (-want +got):\n%s", diff)
	}
}

// A started container keeps each field that podman tells, also one that is new.
func TestReplayContainerFields(t *testing.T) {
	listed := recover.Container{Name: "new"}
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
	remembered := recover.Container{Name: "new", Unrecovered: true, Missing: &recover.Missing{Boots: 1}}
	events := []recover.HostEvent{recover.ContainerStarted{Container: listed}}
	replayed := recover.Replay([]recover.Container{remembered}, events)
	if diff := cmp.Diff([]recover.Container{listed}, replayed); diff != "" {
		t.Errorf("after a start (-want +got):\n%s", diff)
	}
}

// A job that has ended while the daemon was dead is not in the set, and one that runs
// on is known as a job.
func TestReplayOfJobs(t *testing.T) {
	set := []recover.Container{{Name: "j", Unit: "j.service", Job: true}}
	for lines, want := range map[string]string{
		"":                           "j*",
		"start j j.service":          "j*",
		"start j":                    "j*",
		"start j k.service":          "j",
		"died j 0":                   "",
		"died j 1":                   "",
		"died j 1; failed j.service": "",
		"died j 0; ended j.service":  "",
		"died j 1; failed j.service; start j j.service":   "j*",
		"died j 1; failed j.service; restopped j.service": "j*",
		"shutdown; died j 1; failed j.service":            "j*",
	} {
		var got []string
		for _, c := range recover.Replay(set, recovertest.Story(lines)) {
			if c.Job {
				c.Name += "*"
			}
			got = append(got, c.Name)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", lines, text, want)
		}
	}
}

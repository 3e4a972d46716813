package recover

import (
	"strconv"
	"strings"
	"testing"
)

// story makes host events of lines such as "start web web.service", "died web 1",
// "stopped web.service", "manager-ends".
func story(lines string) []HostEvent {
	one := 1
	var events []HostEvent
	for line := range strings.Lines(lines) {
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
		"nothing happened":                           {"", "plain quad"},
		"one was started":                            {"start new new.service", "new plain quad"},
		"one was started and stopped by its unit":    {"start new new.service\n died new 0\n remove new\n ended new.service\n stopped new.service", "plain quad"},
		"a unit's container was stopped":             {"died quad 0\n remove quad\n stopped quad.service", "plain"},
		"also in a user's manager":                   {"died quad 0\n remove quad\n stopped quad.service", "plain"},
		"a unit's container failed":                  {"died quad 1\n remove quad\n failed quad.service", "plain quad"},
		"a unit's container was killed":              {"died quad 137\n remove quad\n failed quad.service", "plain quad"},
		"it failed, was restarted, and then stopped": {"died quad 1\n failed quad.service\n start quad quad.service\n died quad 0\n stopped quad.service", "plain"},
		"it was stopped and started again":           {"died quad 0\n stopped quad.service\n start quad quad.service", "plain quad"},
		"podman stopped it, and its unit ended well": {"died quad 0\n remove quad\n ended quad.service", "plain"},
		"a unit failed, and its own word is lost":    {"died quad 1\n remove quad", "plain quad"},
		"a unit was stopped, and podman's is lost":   {"stopped quad.service", "plain"},
		"its unit has not said yet that it failed":   {"died quad 137\n remove quad", "plain quad"},
		"its unit has not said yet that it stopped":  {"stopping quad.service\n died quad 137\n remove quad", "plain"},
		"it stopped badly, and has not said so yet":  {"stopping quad.service\n died quad 137\n remove quad\n failed quad.service", "plain"},
		"it is being restarted":                      {"stopping quad.service\n died quad 0\n remove quad\n ended quad.service\n restopped quad.service", "plain quad"},
		"a failed one is being restarted":            {"died quad 1\n remove quad\n failed quad.service\n restopped quad.service", "plain quad"},
		"one that ended well is being restarted":     {"died quad 0\n remove quad\n ended quad.service\n restopped quad.service", "plain quad"},
		"it was restarted, and then stopped":         {"restopped quad.service\n stopped quad.service", "plain"},
		"it stopped, was started, and was killed":    {"stopping quad.service\n died quad 0\n stopped quad.service\n start quad quad.service\n died quad 137", "plain quad"},
		"one without a unit was stopped":             {"died plain 143", "quad"},
		"one without a unit failed":                  {"died plain 2", "plain quad"},
		"one without a unit ended, no one knows how": {"died plain", "plain quad"},
		"one without a unit was removed":             {"died plain 1\n remove plain", "quad"},
		"all went with the host":                     {"shutdown\n died plain 0\n died quad 0\n remove quad\n stopped quad.service", "plain quad"},
		"all went with a host that did not say so":   {"manager-ends\n died quad 0\n stopped quad.service", "plain quad"},
		"a host that went down softly is up again":   {"shutdown\n stopped quad.service\n host-up\n died plain 0\n stopped quad.service", ""},
		"what went with it is up again, or comes":    {"manager-ends\n died quad 0\n stopped quad.service\n host-up", "plain quad"},
		"what stopped before that, was stopped":      {"died plain 0\n manager-ends\n host-up", "quad"},
		"a desktop that goes is no end of the host":  {"stopped graphical.target\n died plain 0\n stopped quad.service", ""},
		"also when that exits by itself":             {"manager-ends\n died quad 0\n stopped quad.service\n died plain 143\n manager-begins", "plain quad"},
		"what was stopped before that, was stopped":  {"died plain 0\n shutdown\n died quad 0\n stopped quad.service", "quad"},
		"all went with the user's manager":           {"manager-ends\n died quad 0\n stopped quad.service\n died plain 143\n manager-begins", "plain quad"},
		"also when that dies unannounced":            {"died plain 143\n manager-begins", "plain quad"},
		"a unit that only starts its container":      {"start new new.service\n ended new.service", "new plain quad"},
		"a name that is none is passed over":         {"start ../x x.service", "plain quad"},
		"a pod's infra container does not join":      {"start 4f2a-infra", "plain quad"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Replay(set, story(c.story))
			if names := strings.Join(names(got), " "); names != c.want {
				t.Errorf("the set is %q, want %q", names, c.want)
			}
		})
	}
	if got := Replay([]Container{{Name: "late", Unrecovered: true}}, story("died late 0")); len(got) != 1 || !got[0].Unrecovered {
		t.Errorf("what could not be brought up yet has become %+v", got)
	}
	got := Replay(nil, story("start new new.service"))
	if len(got) != 1 || got[0].Unit != "new.service" || got[0].Tier == nil || *got[0].Tier != 1 || got[0].Image != "image" {
		t.Errorf("joined as %+v", got)
	}
}

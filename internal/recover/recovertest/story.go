package recovertest

import (
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// Story makes host events of text such as "start web web.service; died web 1;
// stopped web.service; manager-ends". A line end separates events as well as a
// semicolon.
func Story(lines string) []recover.HostEvent {
	one := 1
	var events []recover.HostEvent
	for line := range strings.FieldsFuncSeq(lines, func(r rune) bool { return r == '\n' || r == ';' }) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		w = append(w, "", "")
		var event recover.HostEvent
		switch w[0] {
		case "start":
			c := recover.Container{Name: w[1], Image: "image", Unit: w[2]}
			if c.Unit != "" {
				c.Tier = &one
			}
			event = recover.ContainerStarted{Container: c, Infra: strings.HasSuffix(w[1], "-infra")}
		case "died":
			code, err := strconv.Atoi(w[2])
			if err != nil {
				code = recover.UnknownExit
			}
			event = recover.ContainerDied{Name: w[1], ExitCode: code}
		case "told": // to stop, by podman
			event = recover.ContainerStopped{Name: w[1]}
		case "remove":
			event = recover.ContainerRemoved{Name: w[1]}
		case "stopped":
			event = recover.UnitStopped{Unit: w[1]}
		case "restopped": // by a restart
			event = recover.UnitStopped{Unit: w[1], Restart: true}
		case "stopping":
			event = recover.UnitStopping{Unit: w[1]}
		case "ended":
			event = recover.UnitSucceeded{Unit: w[1]}
		case "started": // a unit: its container's start tells it all
			continue
		case "failed":
			event = recover.UnitFailed{Unit: w[1]}
		case "shutdown", "manager-ends":
			event = recover.ManagerEnds{}
		case "manager-begins":
			event = recover.ManagerBegins{}
		case "host-up":
			event = recover.HostUp{}
		default:
			panic(line)
		}
		events = append(events, event)
	}
	return events
}

package recovertest

import (
	"strings"

	"archy-recovery/internal/recover"
)

// Story makes journal entries from lines such as "start web web.service",
// "died web 1", "stopped web.service".
func Story(lines string) []recover.Entry {
	var entries []recover.Entry
	for line := range strings.Lines(lines) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		e := recover.Entry{Fields: map[string]string{}}
		switch w[0] {
		case "start":
			e.Fields["PODMAN_EVENT"], e.Fields["PODMAN_NAME"], e.Fields["PODMAN_IMAGE"] = "start", w[1], "image"
			if len(w) > 2 {
				e.Fields["PODMAN_LABELS"] = `{"PODMAN_SYSTEMD_UNIT":"` + w[2] + `","io.archy.tier":"1"}`
			}
		case "died":
			e.Fields["PODMAN_EVENT"], e.Fields["PODMAN_NAME"] = "died", w[1]
			if len(w) > 2 {
				e.Fields["PODMAN_EXIT_CODE"] = w[2]
			}
		case "remove":
			e.Fields["PODMAN_EVENT"], e.Fields["PODMAN_NAME"] = "remove", w[1]
		case "stopped":
			e.ID, e.Fields["UNIT"] = recover.IDUnitStopped, w[1]
		case "restopped": // by a restart
			e.ID, e.Fields["UNIT"], e.Fields["JOB_TYPE"] = recover.IDUnitStopped, w[1], "restart"
		case "stopping":
			e.ID, e.Fields["UNIT"] = recover.IDUnitStopping, w[1]
		case "started":
			e.ID, e.Fields["UNIT"] = recover.IDUnitStarted, w[1]
		case "userstopped":
			e.ID, e.Fields["USER_UNIT"] = recover.IDUnitStopped, w[1]
		case "ended":
			e.ID, e.Fields["UNIT"] = recover.IDUnitSuccess, w[1]
		case "failed":
			e.ID, e.Fields["UNIT"] = recover.IDUnitResult, w[1]
		case "shutdown":
			e.ID, e.Fields["SHUTDOWN"] = recover.IDShutdown, "reboot"
		default:
			panic(line)
		}
		entries = append(entries, e)
	}
	return entries
}

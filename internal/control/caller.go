package control

import (
	"fmt"
	"os"
	"strings"
)

// unitOf names the systemd unit that a process belongs to, for people to know
// who asked; "unknown" where that cannot be told: the process is gone, or it is
// another user's and our sandbox hides those (ProtectProc=invisible).
func unitOf(pid int) string {
	if pid <= 0 { // of a PID namespace that we do not see into
		return "unknown"
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "unknown"
	}
	return unitOfCgroup(string(text))
}

// unitOfCgroup is the innermost unit in the cgroup v2 path of a
// /proc/PID/cgroup: a user's own service rather than the user@UID.service that
// it runs under.
func unitOfCgroup(text string) string {
	for line := range strings.Lines(text) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		parts := strings.Split(path, "/")
		for i := len(parts) - 1; i >= 0; i-- {
			// systemd puts a '_' before a name that the kernel would take for
			// a file of its own.
			name := strings.TrimPrefix(parts[i], "_")
			if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope") {
				return name
			}
		}
	}
	return "unknown"
}

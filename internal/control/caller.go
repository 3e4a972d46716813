package control

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// AskUnits has the server ask for the unit of a process whose cgroup it cannot
// read: our sandbox hides those of other users (ProtectProc=invisible), and it
// is they who are refused. To be called before Serve.
func (s *Server) AskUnits(of func(ctx context.Context, pid int) (unit string, err error)) {
	s.askUnit = of
}

// askWithin bounds how long an answer is held up for the sake of the log.
const askWithin = 3 * time.Second

// unitOf names the systemd unit that a process belongs to, for people to know
// who asked; "unknown" where that cannot be told.
func (s *Server) unitOf(ctx context.Context, pid int) string {
	if pid <= 0 { // of a PID namespace that we do not see into
		return unknown
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil {
		return unitOfCgroup(string(text))
	}
	if s.askUnit == nil {
		return unknown
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	unit, err := s.askUnit(ctx, pid)
	if err != nil {
		return unknown
	}
	return unit
}

const unknown = "unknown"

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
	return unknown
}

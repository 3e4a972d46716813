package control

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// unitLookupTimeout bounds how long an answer waits for the log's sake.
const unitLookupTimeout = 3 * time.Second

const unknownUnit = "unknown"

// A unitLookup asks systemd for the unit of a process.
type unitLookup func(ctx context.Context, pid int) (unit string, err error)

// SetUnitLookup sets what finds the unit of a process whose cgroup the server
// cannot read. The sandbox (ProtectProc=invisible) hides the processes of other
// users, and the refused peers are among those. Call it before Serve.
func (s *Server) SetUnitLookup(lookup func(ctx context.Context, pid int) (unit string, err error)) {
	s.unitLookup = lookup
}

// unitOf returns the systemd unit that a process belongs to, or "unknown". It
// is for the log: a unit says more to the operator than a PID.
func (lookup unitLookup) unitOf(ctx context.Context, pid int) string {
	if pid <= 0 { // the process is in a PID namespace that this one does not see
		return unknownUnit
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil {
		return unitOfCgroup(string(text))
	}
	if lookup == nil {
		return unknownUnit
	}
	ctx, cancel := context.WithTimeout(ctx, unitLookupTimeout)
	defer cancel()
	unit, err := lookup(ctx, pid)
	if err != nil {
		return unknownUnit
	}
	return unit
}

// unitOfCgroup returns the innermost unit in the cgroup v2 path of a
// /proc/PID/cgroup (cgroups(7)): of a user's service that service, and not
// user@UID.service above it.
func unitOfCgroup(text string) string {
	for line := range strings.Lines(text) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		parts := strings.Split(path, "/")
		for i := len(parts) - 1; i >= 0; i-- {
			// systemd prefixes '_' to a name that could collide with one of the
			// kernel's own files.
			name := strings.TrimPrefix(parts[i], "_")
			if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope") {
				return name
			}
		}
	}
	return unknownUnit
}

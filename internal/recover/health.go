package recover

import (
	"cmp"
	"slices"
	"time"
)

// WaitFor is what else than an active unit a container has to have before others go on.
type WaitFor string

// The values of WaitFor=, and of the label WaitLabel but for the first.
const (
	// WaitForAuto: the next tier, and what needs the container, wait for its health check.
	WaitForAuto WaitFor = "auto"
	// WaitForActive: nothing waits for it.
	WaitForActive WaitFor = "active"
	// WaitForHealthy: READY waits for it, too.
	WaitForHealthy WaitFor = "healthy"
)

// WaitLabel is the container label that overrides WaitFor= for one container.
const WaitLabel = "io.archy.wait"

// ParseWait reads the label WaitLabel. It is empty for what is no value of it.
func ParseWait(text string) WaitFor {
	if w := WaitFor(text); w == WaitForActive || w == WaitForHealthy {
		return w
	}
	return ""
}

// HealthCheck says whether a container has a health check (podman-healthcheck(1)). It is
// empty while nobody has asked podman.
type HealthCheck string

// What podman may say of a container.
const (
	NoHealthCheck  HealthCheck = "none"
	HasHealthCheck HealthCheck = "check"
)

// A Health is the health check of a container that was started, as podman has it.
type Health struct {
	// Command is what the check runs in the container, nil if there is none.
	Command []string
	// Passed: podman has run it, and it has passed.
	Passed bool
	// Running: the container runs.
	Running bool
	// Timeout is how long one check may take.
	Timeout time.Duration
}

// RowHealth is how the wait for a container's health check stands.
type RowHealth string

// The states of that wait. It is empty where nothing waits for the check.
const (
	HealthAwaited RowHealth = "waiting" // the check has not passed yet
	HealthPassed  RowHealth = "healthy" // it has
	HealthLate    RowHealth = "late"    // it had not when others went on without it
)

// A HealthWait says what goes on only once the health check of a container has passed.
type HealthWait int

// The kinds of a HealthWait; each includes those before.
const (
	HealthIgnored    HealthWait = iota
	HealthForNeeding            // what needs the container to be healthy
	HealthForTier               // the next tier, and what needs the container to be ready
	HealthForReady              // READY
)

// waitForHealth is what waits for the health check of a container by the configuration, or
// by its label.
func (p Policy) waitForHealth(c Container) HealthWait {
	if c.Health == NoHealthCheck {
		return HealthIgnored
	}
	switch cmp.Or(c.Wait, p.WaitFor) {
	case WaitForHealthy:
		return HealthForReady
	case WaitForAuto:
		return HealthForTier
	}
	return HealthIgnored
}

// ignoreLastHealth has nothing wait for the health of what no other start follows.
func ignoreLastHealth(rows []Row) {
	for i := range rows {
		row := &rows[i]
		needed := func(other Row) bool {
			return other.State == RowQueued && slices.ContainsFunc(other.Needs, func(n Need) bool { return n.Name == row.Name })
		}
		follows := func(other Row) bool {
			later := other.Group > row.Group || other.Group == row.Group && other.Tier > row.Tier
			return other.State == RowQueued && later
		}
		if row.AwaitHealth == HealthForTier && !slices.ContainsFunc(rows, follows) && !slices.ContainsFunc(rows, needed) {
			row.AwaitHealth = HealthIgnored
		}
	}
}

// HealthNote says that the row's container runs and is not healthy yet. It is empty for
// any other row.
func (r Row) HealthNote() string {
	switch {
	case r.State != RowUp:
	case r.Health == HealthAwaited:
		return "not healthy yet"
	case r.Health == HealthLate:
		return "not healthy yet when recovery went on without it"
	}
	return ""
}

package recover

import (
	"path"
	"strings"
	"time"
)

// CleanBoot says what to start after a run that ended in order.
type CleanBoot string

const (
	// CleanBootList starts what is stopped and on the clean-boot list.
	CleanBootList CleanBoot = "list"
	// CleanBootRestore starts the whole snapshot.
	CleanBootRestore CleanBoot = "restore"
)

// Mode is what the kernel command line asks of recovery.
type Mode string

// The modes; CommandLineKey sets them.
const (
	ModeNormal Mode = ""
	ModeOff    Mode = "off"  // nothing is started
	ModeSafe   Mode = "safe" // everything is started alone, in tier order
)

// CommandLineKey is the kernel command line parameter that sets the Mode.
const CommandLineKey = "archy.recovery"

// Jobs says what recovery does about a unit that runs to its end and was running
// at the crash.
type Jobs string

// The values of Jobs=.
const (
	JobsRestart Jobs = "restart" // it is started once more
	JobsLeave   Jobs = "leave"   // it is left alone
)

// Policy is the configuration that recovery decides by; archy-recovery.conf(5)
// documents each value. The zero value is not usable: see DefaultPolicy.
type Policy struct {
	Mode          Mode
	CleanBoot     CleanBoot
	CleanBootList Patterns
	// Tiers maps a tier to the names in it; a name that several tiers match
	// belongs to the lowest.
	Tiers       map[int]Patterns
	DefaultTier int
	// FirstAttempt and SecondAttempt bound one start each; RetryPause lies
	// between them.
	FirstAttempt, RetryPause, SecondAttempt time.Duration
	// TierDeadline is how long a tier may delay the next one.
	TierDeadline time.Duration
	// Deadline ends recovery whatever is still pending.
	Deadline time.Duration
	// NetworkWait is how long READY waits for the containers that need the network while
	// that is not there.
	NetworkWait time.Duration
	// MaxParallel bounds the starts side by side. They begin with MinParallel and
	// grow as long as the host is under little pressure; on a kernel without
	// pressure stall information they do not grow.
	MinParallel, MaxParallel int
	WaitFor                  WaitFor
	Jobs                     Jobs
	// RetryAfterReady: what failed or fell is tried again after READY.
	RetryAfterReady bool
	// Repair is what is repaired after a crash of the host without being asked.
	Repair RepairLevel
	// KeepImages: the images of the set are kept in archives, of KeepImagesMax bytes in all at most.
	KeepImages    bool
	KeepImagesMax int64
	// Soak is how long after its start a container counts as a possible cause
	// of a crash of the host.
	Soak time.Duration
	// Probation is how long a container stays alone in ModeSafe.
	Probation time.Duration
	// Parole is how long the host is to have lived before a quarantined container is
	// tried: the first time, the second and so on; the last one holds from then on. Without
	// one it is not tried.
	Parole []time.Duration
}

// DefaultPolicy is what holds where the configuration says nothing.
func DefaultPolicy() Policy {
	return Policy{
		CleanBoot:     CleanBootList,
		Tiers:         map[int]Patterns{},
		DefaultTier:   3,
		FirstAttempt:  120 * time.Second,
		RetryPause:    10 * time.Second,
		SecondAttempt: 180 * time.Second,
		TierDeadline:  60 * time.Second,
		Deadline:      15 * time.Minute,
		NetworkWait:   90 * time.Second,
		MinParallel:   8,
		MaxParallel:   32,
		WaitFor:       WaitForAuto,
		Jobs:          JobsRestart,

		RetryAfterReady: true,
		Repair:          RepairNothing,
		KeepImagesMax:   20 << 30,

		Soak:      20 * time.Second,
		Probation: 10 * time.Second,
		Parole:    []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour},
	}
}

// TierOf is the start tier of c: by configuration, then by label, then the
// default.
func (p Policy) TierOf(c Container) int {
	for tier := range MaxTier + 1 {
		if p.Tiers[tier].Match(c.Name) {
			return tier
		}
	}
	if c.Tier != nil {
		return *c.Tier
	}
	return p.DefaultTier
}

// Patterns are container names, or glob patterns of path.Match.
type Patterns []string

// Match reports whether one of the patterns covers name. The prefix "archy-",
// which old Archy nodes gave some containers, is ignored on both sides.
func (ps Patterns) Match(name string) bool {
	name = strings.TrimPrefix(name, "archy-")
	for _, p := range ps {
		// A malformed pattern was refused by the configuration.
		if ok, _ := path.Match(strings.TrimPrefix(p, "archy-"), name); ok {
			return true
		}
	}
	return false
}

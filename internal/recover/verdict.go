package recover

import (
	"fmt"
	"time"
)

// An Identity names one run of the daemon. A PID alone is reused, and a clock
// jumps: the boot ID, the count of soft-reboots (which keep the boot ID), the
// PID and the process's start time together are unique.
type Identity struct {
	BootID      string `json:"bootId"`
	SoftReboots uint64 `json:"softReboots"`
	PID         int    `json:"pid"`
	// StartTime is field 22 of proc_pid_stat(5): clock ticks since boot.
	StartTime uint64 `json:"startTime"`
}

// A Marker is the file that says a run is under way, as the last run left it.
type Marker struct {
	Identity
	// Legacy: only a PID, as the Rust module wrote it; the rest is unknown.
	Legacy bool
	// Garbled: the file is there and says nothing that can be read.
	Garbled bool
	// Alive: the process that wrote it still holds the data directory.
	Alive bool
}

// An Ending is how the last run ended.
type Ending string

// The endings of the verdict table in docs/architecture.md.
const (
	EndedCleanly   Ending = "clean-stop"      // stopped in order, or never ran
	StillRunning   Ending = "already-running" // another instance lives
	ServiceCrashed Ending = "service-crash"   // the daemon died, the host did not
	HostCrashed    Ending = "host-crash"      // the host went down under it
	EndedUncleanly Ending = "unclean"         // it did not stop in order; the marker cannot say more
)

// A Verdict is how the last run ended: the marker decides whether badly, the
// journal explains why.
type Verdict struct {
	Ending Ending `json:"ending"`
	// Cause is why it ended badly, as far as the journal says.
	Cause Cause `json:"cause,omitempty"`
	// Evidence is the journal entries that the cause rests on.
	Evidence []Entry `json:"evidence,omitempty"`
	// Previous is the run that the verdict is about, nil where there was none.
	Previous *Identity `json:"previous,omitempty"`
	// LastAlive is when the last run was alive, as far as it wrote that down: at most some
	// ten minutes before its end. Zero if it is not known, or the host did not crash.
	LastAlive time.Time `json:"lastAlive,omitzero"`
	// Reason says in one sentence what the verdict rests on.
	Reason string `json:"reason"`
	// InWords says in one sentence what the evidence shows, where its entries do not say it.
	InWords string `json:"inWords,omitempty"`
}

// Unclean reports whether what was running has to be brought back.
func (v Verdict) Unclean() bool {
	return v.Ending == ServiceCrashed || v.Ending == HostCrashed || v.Ending == EndedUncleanly
}

// Judge decides how the last run ended, from its marker, nil without one, and from
// the identity of this run. Every marker of a process that no longer lives is a
// crash, also if some other process has its PID by now.
func Judge(last *Marker, here Identity) Verdict {
	switch {
	case last == nil:
		return Verdict{Ending: EndedCleanly, Reason: "the last run left no marker"}
	case last.Alive:
		return Verdict{Ending: StillRunning, Previous: &last.Identity,
			Reason: fmt.Sprintf("PID %d holds the data directory", last.PID)}
	case last.Garbled:
		return Verdict{Ending: EndedUncleanly, Cause: CauseUnknown,
			Reason: "the last run left a marker that cannot be read"}
	case last.Legacy:
		return Verdict{Ending: EndedUncleanly, Cause: CauseUnknown, Previous: &last.Identity,
			Reason: fmt.Sprintf("the last run (PID %d) left a marker without a boot ID", last.PID)}
	case last.BootID != here.BootID:
		return Verdict{Ending: HostCrashed, Cause: CauseUnknown, Previous: &last.Identity,
			Reason: fmt.Sprintf("the last run (PID %d) was under way in boot %s, which is over", last.PID, last.BootID)}
	case last.SoftReboots != here.SoftReboots:
		return Verdict{Ending: HostCrashed, Cause: CauseUnknown, Previous: &last.Identity,
			Reason: fmt.Sprintf("the last run (PID %d) was under way before a soft-reboot", last.PID)}
	case last.StartTime > here.StartTime:
		return Verdict{Ending: HostCrashed, Cause: CauseUnknown, Previous: &last.Identity,
			Reason: fmt.Sprintf("the last run (PID %d) began later in its boot than this run in this one: "+
				"the boot ID comes again", last.PID)}
	default:
		return Verdict{Ending: ServiceCrashed, Cause: CauseUnknown, Previous: &last.Identity,
			Reason: fmt.Sprintf("the last run (PID %d) of this boot is gone and left its marker", last.PID)}
	}
}

package recover

import (
	"fmt"
	"slices"
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
	// Earlier are the boots of earlier runs that ended badly before they could save the
	// running set, oldest first. What happened in them is in no snapshot.
	Earlier []string
	// Left says that the run was stopped in order, and what it left to the next one.
	Left Leftover
}

// A Leftover is why the marker of a run that was stopped in order stays.
type Leftover string

// What is left. Other words, of a later version, count as LeftSet.
const (
	// LeftNothing: the run was not stopped in order, or there is nothing.
	LeftNothing Leftover = ""
	// LeftStarts: recovery has yet to start some containers.
	LeftStarts Leftover = "starts"
	// LeftSet: the set on disk is not the one that ran.
	LeftSet Leftover = "set"
	// LeftInBoot is LeftSet, but only in the same boot: after another boot nothing of it
	// is wanted.
	LeftInBoot Leftover = "set-in-boot"
)

// sentence says how a run ended that left something.
func (l Leftover) sentence() string {
	if l == LeftStarts {
		return "was stopped in order before it could start all containers"
	}
	return "was stopped in order, but could not save what ran"
}

// maxEarlier bounds Marker.Earlier. The journal of so many boots is hardly kept.
const maxEarlier = 100

// Unsaved lists the boots, oldest first, whose events are newer than a snapshot of the
// boot saved: those of the run that left the marker, nil for none, and of runs before it.
func (m *Marker) Unsaved(saved string) []string {
	if m == nil {
		return nil
	}
	boots := slices.Clone(m.Earlier)
	if m.BootID != "" {
		boots = append(boots, m.BootID)
	}
	boots = slices.Compact(boots)
	for i, boot := range slices.Backward(boots) {
		if boot == saved {
			boots = boots[i+1:]
			break
		}
	}
	return boots[max(0, len(boots)-maxEarlier):]
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
	EndedEarly     Ending = "interrupted"     // stopped in order, with something left for the next run
)

// A Verdict is how the last run ended: the marker decides whether badly, the
// journal explains why.
type Verdict struct {
	Ending Ending `json:"ending"`
	// Cause is why it ended badly, as far as the journal says.
	Cause Cause `json:"cause,omitempty"`
	// Evidence is the journal entries that the cause rests on.
	Evidence []Entry `json:"evidence,omitempty"`
	// Cgroup is Sign.Cgroup, where memory ran out.
	Cgroup string `json:"-"`
	// Started are the containers that were started last before the end of the host, by whatever.
	Started []NearEnd `json:"-"`
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
	switch v.Ending {
	case ServiceCrashed, HostCrashed, EndedUncleanly, EndedEarly:
		return true
	}
	return false
}

// InThisBoot reports whether the run that the verdict is about was in the boot of the
// run here, so that its containers may run still.
func (v Verdict) InThisBoot(here Identity) bool {
	return v.Previous != nil && v.Previous.sameBoot(here)
}

// sameBoot reports whether a run was in the same boot as a later one. A boot ID can come
// again: then the earlier run may have begun later in its boot.
func (i Identity) sameBoot(later Identity) bool {
	return i.BootID != "" && i.BootID == later.BootID && i.SoftReboots == later.SoftReboots &&
		i.StartTime <= later.StartTime
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
	case last.Left == LeftInBoot && !last.sameBoot(here):
		return Verdict{Ending: EndedCleanly, Reason: fmt.Sprintf("the last run (PID %d) was stopped in order", last.PID)}
	case last.Left != LeftNothing:
		return Verdict{Ending: EndedEarly, Cause: CauseUnknown, Previous: &last.Identity,
			Reason: fmt.Sprintf("the last run (PID %d) %s", last.PID, last.Left.sentence())}
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

package recover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A Cause is why a run ended badly.
type Cause string

// Causes of the end of a host.
const (
	CauseUnknown   Cause = "unknown"
	CauseShutdown  Cause = "clean-shutdown" // an orderly shutdown that cut the service short
	CausePowerLoss Cause = "power-loss"     // or a hard reset: the journal just stops
	CausePanic     Cause = "kernel-panic"
	CauseWatchdog  Cause = "watchdog" // of the host; or the service's own, of systemd
	CauseOOM       Cause = "out-of-memory"
	CauseSoftBoot  Cause = "soft-reboot"
	CauseKexec     Cause = "kexec"
)

// Causes of the end of a service: the UNIT_RESULT= of systemd, save for
// out-of-memory and watchdog, which a host has too.
const (
	CauseExit       Cause = "exit-code"
	CauseSignal     Cause = "signal"
	CauseCoreDump   Cause = "core-dump"
	CauseTimeout    Cause = "timeout"
	CauseStartLimit Cause = "start-limit"
)

// sentence is the cause for people. exit is how the process of a service ended,
// empty where that is not known.
func (c Cause) sentence(exit string) string {
	if exit != "" {
		exit = " (" + exit + ")"
	}
	switch c {
	case CauseShutdown:
		return "the host was shut down in order, and the service cut short"
	case CausePowerLoss:
		return "the journal just stops: power loss or a hard reset"
	case CausePanic:
		return "the kernel panicked"
	case CauseWatchdog:
		return "a watchdog fired"
	case CauseOOM:
		return "memory ran out"
	case CauseSoftBoot:
		return "the host was soft-rebooted, and the service cut short"
	case CauseKexec:
		return "another kernel was booted by kexec, and the service cut short"
	case CauseExit:
		return "the service exited with an error" + exit
	case CauseSignal:
		return "the service was killed by a signal" + exit
	case CauseCoreDump:
		return "the service dumped core" + exit
	case CauseTimeout:
		return "the service exceeded a time limit of systemd's"
	case CauseStartLimit:
		return "the service was started too often in a row"
	}
	return "the journal does not say why"
}

// A Sign is a journal entry, together with what it says about the end of a boot or
// of a service. Package journal reads the words of the kernel and of systemd, and
// gives each entry its kind.
type Sign struct {
	Entry
	// Kind is empty for an entry that says nothing about an end.
	Kind SignKind
	// Cause is the cause that the entry itself names. It is empty if there is none.
	Cause Cause
	// Cgroup is the control group of the process that the kernel killed when the memory
	// of the host ran out. Only SignOOMKill has it.
	Cgroup string
	// Exit says how a process ended, such as "killed 9". Only SignProcessExit has it.
	Exit string
	// Started is the container that podman says was started.
	Started string
	// Monotonic is the time between the start of the boot and the entry.
	Monotonic time.Duration
}

// SignKind is what an entry says about the end of a boot or of a service.
type SignKind string

// The kinds of signs, and the Cause that each can name.
const (
	SignShutdownAsked   SignKind = "shutdown-asked"   // logind was asked for it; soft-reboot, kexec
	SignServicesStopped SignKind = "services-stopped" // basic.target stopped: no service is left
	SignJournalReleased SignKind = "journal-released" // journald lets go of /var, before that is unmounted
	SignJournalStopped  SignKind = "journal-stopped"  // journald ended: its own last entry
	SignUnitStarted     SignKind = "unit-started"     // soft-reboot and kexec, by the name of the target
	SignUnitResult      SignKind = "unit-result"      // a unit failed: the causes of a service's end
	SignProcessExit     SignKind = "process-exit"     // the main process ended: exit-code, signal, core-dump
	SignOOMKill         SignKind = "oom-kill"         // the kernel or systemd-oomd killed a process
	SignPanic           SignKind = "panic"            // kernel-panic, out-of-memory, watchdog
	SignCrashRecord     SignKind = "crash-record"     // pstore kept it; as for a panic, if the record tells
	SignWatchdogReset   SignKind = "watchdog-reset"   // a watchdog says that it reset the host
)

// Evidence returns the entries of signs, for a Verdict to quote.
func Evidence(signs []Sign) []Entry {
	var entries []Entry
	for _, s := range signs {
		entries = append(entries, s.Entry)
	}
	return entries
}

// A BootEnd is what the journal tells of the end of a boot.
type BootEnd struct {
	// Tail holds the last entries of the boot, oldest first.
	Tail []Sign
	// Next holds messages of the kernel in the boot after it.
	Next []Sign
	// Records holds what systemd-pstore said in the boot after it. It found the
	// records that the kernel had left in the firmware or in reserved memory.
	Records []Sign
}

// A NearEnd is a container that was started in a boot, as the last entries of its journal tell.
type NearEnd struct {
	Name string
	// Before is how long before the last entry.
	Before time.Duration
}

// started are the containers that were started last in the boot, as far as the tail tells.
func (e BootEnd) started() (starts []NearEnd) {
	for _, s := range e.Tail {
		if s.Started != "" {
			starts = append(starts, NearEnd{s.Started, e.Tail[len(e.Tail)-1].Monotonic - s.Monotonic})
		}
	}
	return starts
}

// oomWindow is how long before the end of a journal an out-of-memory kill counts as
// its cause. The kill can be older than the last entry, because journald can starve
// as well.
const oomWindow = 2 * time.Minute

// ExplainHost returns why a boot ended, and the signs that say so. The first of
// these rules that applies decides:
//
//  1. The journal has the lines of a panic.
//  2. journald ended in order, so the host survived whatever happened before.
//  3. The firmware kept the record of a panic.
//  4. A watchdog says that it reset the host.
//  5. journald released the journal in order.
//  6. Memory ran out shortly before the end.
//  7. The journal just stops.
func ExplainHost(end BootEnd) (Cause, []Sign) {
	if panicked, ok := last(end.Tail, SignPanic); ok {
		return panicked.Cause, []Sign{panicked}
	}
	cause, evidence, inOrder := shutdown(end.Tail)
	if inOrder && end.Tail[len(end.Tail)-1].Kind == SignJournalStopped {
		return cause, evidence
	}
	if cause, record, ok := recorded(end.Records); ok {
		return cause, []Sign{record}
	}
	if reset, ok := last(end.Next, SignWatchdogReset); ok {
		return CauseWatchdog, []Sign{reset}
	}
	if len(end.Tail) == 0 {
		return CauseUnknown, nil
	}
	if inOrder {
		return cause, evidence
	}
	final := end.Tail[len(end.Tail)-1]
	if kill, ok := last(end.Tail, SignOOMKill); ok && final.Monotonic-kill.Monotonic < oomWindow {
		return CauseOOM, []Sign{kill, final}
	}
	// A power failure can leave entries without their fields.
	if readable, ok := lastOf(end.Tail, func(s Sign) bool { return s.Message != "" }); ok {
		final = readable
	}
	return CausePowerLoss, []Sign{final}
}

// killedCgroup is the Cgroup of the last kill, if that was shortly before the end.
func killedCgroup(tail []Sign) string {
	kill, ok := lastOf(tail, func(s Sign) bool { return s.Cgroup != "" })
	if !ok || tail[len(tail)-1].Monotonic-kill.Monotonic >= oomWindow {
		return ""
	}
	return kill.Cgroup
}

// lastOf returns the last sign for which is reports true.
func lastOf(signs []Sign, is func(Sign) bool) (Sign, bool) {
	for _, s := range slices.Backward(signs) {
		if is(s) {
			return s, true
		}
	}
	return Sign{}, false
}

// last returns the last sign of a kind.
func last(signs []Sign, kind SignKind) (Sign, bool) {
	return lastOf(signs, func(s Sign) bool { return s.Kind == kind })
}

// recorded returns the cause that the records of a crash tell. A record comes in
// parts, and the part with the line of the panic names the cause.
func recorded(records []Sign) (Cause, Sign, bool) {
	named := func(s Sign) bool { return s.Kind == SignCrashRecord && s.Cause != "" }
	if record, ok := lastOf(records, named); ok {
		return record.Cause, record, true
	}
	record, ok := last(records, SignCrashRecord)
	return CausePanic, record, ok
}

// shutdown looks for the signs of an orderly end: the last entry of journald, or,
// with the journal on a file system that is unmounted early, that journald released
// it after the shutdown had stopped all services.
func shutdown(tail []Sign) (cause Cause, evidence []Sign, ok bool) {
	if len(tail) == 0 {
		return "", nil, false
	}
	final := tail[len(tail)-1]
	if final.Kind != SignJournalStopped {
		// Only after the services: an operator can restart the flush service as well.
		if final, ok = last(afterServices(tail), SignJournalReleased); !ok {
			return "", nil, false
		}
	}
	evidence = []Sign{final}
	asked, ok := last(tail, SignShutdownAsked)
	if ok {
		evidence = []Sign{asked, final}
	}
	cause = CauseShutdown
	for _, other := range []Cause{CauseSoftBoot, CauseKexec} {
		reached := func(s Sign) bool { return s.Kind == SignUnitStarted && s.Cause == other }
		if asked.Cause == other || slices.ContainsFunc(tail, reached) {
			cause = other
		}
	}
	return cause, evidence, true
}

// afterServices returns the signs after the last one that all services had stopped.
func afterServices(tail []Sign) []Sign {
	for i, s := range slices.Backward(tail) {
		if s.Kind == SignServicesStopped {
			return tail[i+1:]
		}
	}
	return nil
}

// Explain adds to a verdict the cause that the journal tells. The verdict itself
// stands on the marker, so a journal that cannot be read does not change it.
func (v Verdict) Explain(ctx context.Context, journal Journal, here Identity) Verdict {
	if !v.Unclean() || v.Previous == nil || v.Previous.BootID == "" {
		return v
	}
	var evidence []Sign
	var err error
	switch {
	case v.Ending == EndedEarly && v.InThisBoot(here):
		v.Cause = "" // nothing crashed
		return v
	case v.Ending == ServiceCrashed:
		var signs []Sign
		signs, err = journal.ServiceEnd(ctx, here.BootID)
		v.Cause, evidence = ExplainService(signs)
	case v.Previous.SoftReboots != here.SoftReboots && v.Previous.BootID == here.BootID:
		v.Cause = CauseSoftBoot // the count of soft-reboots says so
	case v.Previous.BootID == here.BootID:
		// Two boots have the same ID, and the journal does not tell them apart.
	default:
		var end BootEnd
		end, err = journal.BootEnd(ctx, v.Previous.BootID, here.BootID)
		v.Cause, evidence = ExplainHost(end)
		v.Started = end.started()
		switch v.Cause {
		case CausePowerLoss:
			v.InWords = end.inWords(evidence)
		case CauseOOM:
			v.Cgroup = killedCgroup(end.Tail)
		}
	}
	v.Evidence = Evidence(evidence)
	exit, _ := last(evidence, SignProcessExit)
	v.Reason += "; " + v.Cause.sentence(exit.Exit)
	if v.Cause == CauseUnknown && err != nil {
		v.Reason += fmt.Sprintf(" (%v)", err)
	}
	if v.Cause == CauseUnknown && !v.LastAlive.IsZero() {
		v.Reason += "; it was " + AliveUntil(v.LastAlive)
	}
	return v
}

// ExplainService returns why the process of our service ended, and the signs that
// say so. signs are what systemd said of the unit, oldest first.
func ExplainService(signs []Sign) (Cause, []Sign) {
	signs = lastRun(signs)
	if kill, ok := last(signs, SignOOMKill); ok {
		return CauseOOM, []Sign{kill}
	}
	cause := CauseUnknown
	var evidence []Sign
	for _, kind := range []SignKind{SignProcessExit, SignUnitResult} { // the result tells more
		if s, ok := last(signs, kind); ok {
			evidence = append(evidence, s)
			cause = cmp.Or(s.Cause, cause)
		}
	}
	return cause, evidence
}

// lastRun returns the signs of the last run that ended, from its start on. It
// returns none if the last run has only a start: its end was not told, and earlier
// signs belong to another run.
func lastRun(signs []Sign) []Sign {
	ended := false
	for i, s := range slices.Backward(signs) {
		switch s.Kind {
		case SignProcessExit, SignUnitResult, SignOOMKill:
			ended = true
		case SignUnitStarted:
			if ended {
				return signs[i:]
			}
			return nil
		}
	}
	return signs
}

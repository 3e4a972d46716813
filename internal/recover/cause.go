package recover

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A Cause is why a run ended badly.
type Cause string

// Causes of a host's end.
const (
	CauseUnknown   Cause = "unknown"
	CauseShutdown  Cause = "clean-shutdown" // in order; only our service was cut short
	CausePowerLoss Cause = "power-loss"     // or a hard reset: the journal just stops
	CausePanic     Cause = "kernel-panic"
	CauseWatchdog  Cause = "watchdog" // of the host, or systemd's of the service
	CauseOOM       Cause = "out-of-memory"
	CauseSoftBoot  Cause = "soft-reboot"
	CauseKexec     Cause = "kexec"
)

// Causes of a service's end: systemd's UNIT_RESULT, but for out-of-memory and
// watchdog above.
const (
	CauseExit       Cause = "exit-code"
	CauseSignal     Cause = "signal"
	CauseCoreDump   Cause = "core-dump"
	CauseTimeout    Cause = "timeout"
	CauseStartLimit Cause = "start-limit"
)

// A BootEnd is what is left of how a boot ended.
type BootEnd struct {
	// Tail is the boot's last entries, oldest first.
	Tail []Entry
	// Next is kernel messages of the boot after it that may say why.
	Next []Entry
	// Records is what systemd-pstore said in the boot after it of records that
	// the kernel had left in the firmware or in reserved memory.
	Records []Entry
}

// oomWindow is how long before the end of a journal the kernel's killing of
// processes counts as its cause: journald itself may have been starved since.
const oomWindow = 2 * time.Minute

// ExplainHost says why a boot ended, and by what entries.
func ExplainHost(end BootEnd) (Cause, []Entry) {
	if cause, entry, ok := panicked(end.Tail); ok {
		return cause, []Entry{entry}
	}
	cause, evidence, inOrder := shutDown(end.Tail)
	if inOrder && end.Tail[len(end.Tail)-1].ID == IDJournalStop {
		return cause, evidence // whatever the kernel survived before that
	}
	if cause, record, ok := recorded(end.Records); ok {
		return cause, []Entry{record}
	}
	if entry, ok := find(end.Next, watchdogReset); ok {
		return CauseWatchdog, []Entry{entry}
	}
	if len(end.Tail) == 0 {
		return CauseUnknown, nil
	}
	if inOrder {
		return cause, evidence
	}
	last := end.Tail[len(end.Tail)-1]
	if entry, ok := find(end.Tail, oomKill); ok && last.Monotonic-entry.Monotonic < oomWindow {
		return CauseOOM, []Entry{entry, last}
	}
	// Of what was being written when the power failed, the fields may be lost.
	if said, ok := find(end.Tail, func(e Entry) bool { return e.Message != "" }); ok {
		last = said
	}
	return CausePowerLoss, []Entry{last}
}

// find returns the last entry that is one.
func find(entries []Entry, is func(Entry) bool) (Entry, bool) {
	for i := len(entries) - 1; i >= 0; i-- {
		if is(entries[i]) {
			return entries[i], true
		}
	}
	return Entry{}, false
}

// after is the entries after the last in which PID 1 says id of the unit.
func after(entries []Entry, id, unit string) []Entry {
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.ID == id && e.Fields["UNIT"] == unit {
			return entries[i+1:]
		}
	}
	return nil
}

const panicLine = "Kernel panic - not syncing"

// panicked finds a panic whose lines reached the journal. The kernel also prints
// names that users choose, such as those of mounts: but not at a line's beginning.
func panicked(tail []Entry) (Cause, Entry, bool) {
	entry, ok := find(tail, func(e Entry) bool { return e.Kernel && strings.HasPrefix(e.Message, panicLine) })
	return panicCause(entry.Message), entry, ok
}

// recorded finds a panic that the firmware, or reserved memory, kept. The record
// comes in parts; the one with the panic's own line says why.
func recorded(records []Entry) (Cause, Entry, bool) {
	says := func(e Entry) bool { return crashRecord(e) && strings.Contains(e.Fields["FILE"], panicLine) }
	if entry, ok := find(records, says); ok {
		_, why, _ := strings.Cut(entry.Fields["FILE"], panicLine)
		why, _, _ = strings.Cut(why, "\n")
		return panicCause(why), entry, true
	}
	entry, ok := find(records, crashRecord)
	return CausePanic, entry, ok
}

// panicCause is the cause by what the kernel said when it panicked.
func panicCause(why string) Cause {
	why = strings.ToLower(why)
	switch {
	case strings.Contains(why, "out of memory"), strings.Contains(why, "oom"):
		return CauseOOM
	case strings.Contains(why, "lockup"), strings.Contains(why, "watchdog"), strings.Contains(why, "hung_task"):
		return CauseWatchdog
	}
	return CausePanic
}

// crashRecord: pstore keeps the console of every boot too, but dmesg-… only of
// a panic or an oops.
func crashRecord(e Entry) bool { return strings.Contains(e.Message, "dmesg-") }

func watchdogReset(e Entry) bool {
	text := strings.ToLower(e.Message)
	return e.Kernel && strings.Contains(text, "watchdog") && !strings.Contains(text, " not ") &&
		(strings.Contains(text, "last reboot") || strings.Contains(text, "last reset") || strings.Contains(text, "reset by watchdog"))
}

func oomKill(e Entry) bool {
	return e.ID == msgOutOfMemory || e.ID == msgOomdKill ||
		e.Kernel && (strings.HasPrefix(e.Message, "Out of memory: Killed process") || strings.Contains(e.Message, "invoked oom-killer"))
}

// shutDown finds the signs of an end in order: the journal's own last entry,
// or, with the journal on a file system that is unmounted early, that journald
// had begun to let go of it when the shutdown had stopped all services.
func shutDown(tail []Entry) (Cause, []Entry, bool) {
	if len(tail) == 0 {
		return "", nil, false
	}
	last := tail[len(tail)-1]
	// Only after: the flush service also stops when someone restarts it.
	flushed, letGo := find(after(tail, IDUnitStopped, "basic.target"), func(e Entry) bool {
		return (e.ID == IDUnitStopping || e.ID == IDUnitStopped) && e.Fields["UNIT"] == "systemd-journal-flush.service"
	})
	switch {
	case last.ID == IDJournalStop:
	case letGo:
		last = flushed
	default:
		return "", nil, false
	}
	cause, evidence := CauseShutdown, []Entry{last}
	asked, ok := find(tail, func(e Entry) bool { return e.ID == IDShutdown })
	if ok {
		evidence = []Entry{asked, last}
	}
	reached := func(target string) bool {
		_, ok := find(tail, func(e Entry) bool { return e.ID == IDUnitStarted && e.Fields["UNIT"] == target })
		return ok
	}
	switch {
	case asked.Fields["SHUTDOWN"] == "kexec" || reached("kexec.target"):
		cause = CauseKexec
	case asked.Fields["SHUTDOWN"] == "soft-reboot" || reached("soft-reboot.target"):
		cause = CauseSoftBoot
	}
	return cause, evidence, true
}

// Explain adds to a verdict what the journal says of the cause. Whatever the
// journal does or does not say, the verdict itself stands: it is the marker's.
func (v Verdict) Explain(ctx context.Context, journal Journal, here Identity) Verdict {
	if !v.Unclean() || v.Previous == nil || v.Previous.BootID == "" {
		return v
	}
	var err error
	switch {
	case v.Ending == ServiceCrashed:
		var entries []Entry
		entries, err = journal.ServiceEnd(ctx, here.BootID)
		v.Cause, v.Evidence = ExplainService(entries)
	case v.Previous.SoftReboots != here.SoftReboots && v.Previous.BootID == here.BootID:
		v.Cause = CauseSoftBoot // the count says so
	case v.Previous.BootID == here.BootID:
		// Another boot with the same ID: the journal does not tell them apart.
	default:
		var end BootEnd
		end, err = journal.BootEnd(ctx, v.Previous.BootID, here.BootID)
		v.Cause, v.Evidence = ExplainHost(end)
	}
	v.Reason += "; " + v.Cause.sentence(v.Evidence)
	if v.Cause == CauseUnknown && err != nil {
		v.Reason += fmt.Sprintf(" (%v)", err)
	}
	return v
}

// ExplainService says why our service's process ended, from what systemd says
// of the unit.
func ExplainService(entries []Entry) (Cause, []Entry) {
	entries = lastRun(entries)
	if e, ok := find(entries, func(e Entry) bool { return e.ID == msgOutOfMemory || e.ID == msgOomdKill }); ok {
		return CauseOOM, []Entry{e}
	}
	exit, exited := find(entries, func(e Entry) bool { return e.ID == msgProcessExit })
	result, failed := find(entries, func(e Entry) bool { return e.ID == IDUnitResult })
	var evidence []Entry
	if exited {
		evidence = append(evidence, exit)
	}
	if failed {
		evidence = append(evidence, result)
	}
	switch result.Fields["UNIT_RESULT"] {
	case "oom-kill":
		return CauseOOM, evidence
	case "watchdog":
		return CauseWatchdog, evidence
	case "core-dump":
		return CauseCoreDump, evidence
	case "signal":
		return CauseSignal, evidence
	case "timeout":
		return CauseTimeout, evidence
	case "start-limit-hit":
		return CauseStartLimit, evidence
	case "exit-code":
		return CauseExit, evidence
	}
	switch exit.Fields["EXIT_CODE"] {
	case "killed":
		return CauseSignal, evidence
	case "dumped":
		return CauseCoreDump, evidence
	case "exited":
		return CauseExit, evidence
	}
	return CauseUnknown, evidence
}

// lastRun is what was said of the last run that ended, from when it was up. It
// is nothing where the last that is said is that a run was up: so the end of
// that one was not told, and what was told before is of another.
func lastRun(entries []Entry) []Entry {
	ended := false
	for i := len(entries) - 1; i >= 0; i-- {
		switch entries[i].ID {
		case msgProcessExit, IDUnitResult, msgOutOfMemory, msgOomdKill:
			ended = true
		case IDUnitStarted:
			if ended {
				return entries[i:]
			}
			return nil
		}
	}
	return entries
}

// sentence is the cause for people.
func (c Cause) sentence(evidence []Entry) string {
	detail := ""
	for _, e := range evidence {
		if status := e.Fields["EXIT_STATUS"]; status != "" {
			detail = fmt.Sprintf(" (%s %s)", e.Fields["EXIT_CODE"], status)
		}
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
		return "the service exited with an error" + detail
	case CauseSignal:
		return "the service was killed by a signal" + detail
	case CauseCoreDump:
		return "the service dumped core" + detail
	case CauseTimeout:
		return "the service exceeded a time limit of systemd's"
	case CauseStartLimit:
		return "the service was started too often in a row"
	}
	return "the journal does not say why"
}

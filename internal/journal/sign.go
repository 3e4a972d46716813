package journal

import (
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// startOf returns the container that podman, run by the user uid, says was started, empty if the
// entry says nothing like that.
func startOf(e entry, uid int) string {
	started, is := containerEvent(e).(recover.ContainerStarted)
	if !is || started.Infra || e.fields["_UID"] != strconv.Itoa(uid) {
		return ""
	}
	return started.Name
}

// signOf returns what an entry says about the end of a boot or of a service.
func signOf(e entry) recover.Sign {
	s := recover.Sign{Entry: e.Entry, Monotonic: e.monotonic}
	if e.id != "" {
		s.Kind, s.Cause = saidBySystemd(e)
	} else if e.kernel {
		s.Kind, s.Cause = saidByKernel(e.Message)
		s.Cgroup = killedCgroup(e.Message)
	}
	if status := e.fields["EXIT_STATUS"]; s.Kind == recover.SignProcessExit && status != "" {
		s.Exit = e.fields["EXIT_CODE"] + " " + status
	}
	return s
}

func saidBySystemd(e entry) (recover.SignKind, recover.Cause) {
	unit := e.fields["UNIT"]
	switch e.id {
	case idShutdown:
		return recover.SignShutdownAsked, shutdownCauses[e.fields["SHUTDOWN"]]
	case idJournalStopped:
		return recover.SignJournalStopped, ""
	case idUnitStarted:
		return recover.SignUnitStarted, targetCauses[unit]
	case idUnitStopping, idUnitStopped:
		switch {
		case unit == journalFlush:
			return recover.SignJournalReleased, ""
		case unit == basic && e.id == idUnitStopped:
			return recover.SignServicesStopped, ""
		}
	case idUnitResult:
		return recover.SignUnitResult, resultCauses[e.fields["UNIT_RESULT"]]
	case idProcessExit:
		return recover.SignProcessExit, exitCauses[e.fields["EXIT_CODE"]]
	case idOutOfMemory, idOomdKill:
		return recover.SignOOMKill, recover.CauseOOM
	}
	return "", ""
}

// The causes that systemd's own words name.
var (
	shutdownCauses = map[string]recover.Cause{ // SHUTDOWN= of logind
		"kexec":       recover.CauseKexec,
		"soft-reboot": recover.CauseSoftBoot,
	}
	targetCauses = map[string]recover.Cause{ // systemd.special(7)
		"kexec.target":       recover.CauseKexec,
		"soft-reboot.target": recover.CauseSoftBoot,
	}
	resultCauses = map[string]recover.Cause{ // UNIT_RESULT=, as Result= in systemd.service(5)
		"oom-kill":        recover.CauseOOM,
		"watchdog":        recover.CauseWatchdog,
		"core-dump":       recover.CauseCoreDump,
		"signal":          recover.CauseSignal,
		"timeout":         recover.CauseTimeout,
		"start-limit-hit": recover.CauseStartLimit,
		"exit-code":       recover.CauseExit,
	}
	exitCauses = map[string]recover.Cause{ // EXIT_CODE=, the CLD_… of sigaction(2)
		"killed": recover.CauseSignal,
		"dumped": recover.CauseCoreDump,
		"exited": recover.CauseExit,
	}
)

// panicLine begins the kernel's line about a panic.
const panicLine = "Kernel panic - not syncing"

// saidByKernel reads a message of the kernel. The kernel also prints names that users
// choose, such as those of mounts, but not at the beginning of a line.
func saidByKernel(message string) (recover.SignKind, recover.Cause) {
	lower := strings.ToLower(message)
	switch {
	case strings.HasPrefix(message, panicLine):
		return recover.SignPanic, panicCause(message)
	case strings.HasPrefix(message, "Out of memory: Killed process"), strings.Contains(message, "invoked oom-killer"),
		killedCgroup(message) != "":
		return recover.SignOOMKill, recover.CauseOOM
	case strings.Contains(lower, "watchdog") && !strings.Contains(lower, " not ") &&
		(strings.Contains(lower, "last reboot") || strings.Contains(lower, "last reset") ||
			strings.Contains(lower, "reset by watchdog")):
		return recover.SignWatchdogReset, recover.CauseWatchdog
	}
	return "", ""
}

// killedCgroup returns the control group that the kernel names when the memory of the host,
// and not only that of a group, has run out (dump_oom_victim() of mm/oom_kill.c):
// oom-kill:constraint=CONSTRAINT_NONE,…,global_oom,task_memcg=/…,task=…
func killedCgroup(message string) string {
	if !strings.HasPrefix(message, "oom-kill:constraint=") || !strings.Contains(message, ",global_oom,") {
		return ""
	}
	_, rest, _ := strings.Cut(message, ",task_memcg=")
	cgroup, _, _ := strings.Cut(rest, ",task=")
	return cgroup
}

// panicCause returns the cause that the kernel's line about a panic names.
func panicCause(line string) recover.Cause {
	line = strings.ToLower(line)
	switch {
	case strings.Contains(line, "out of memory"), strings.Contains(line, "oom"):
		return recover.CauseOOM
	case strings.Contains(line, "lockup"), strings.Contains(line, "watchdog"), strings.Contains(line, "hung_task"):
		return recover.CauseWatchdog
	}
	return recover.CausePanic
}

// recordOf returns what systemd-pstore says of a record that it found. pstore keeps
// the console of every boot too, but dmesg-… only of a panic or an oops.
func recordOf(e entry) recover.Sign {
	s := recover.Sign{Entry: e.Entry, Monotonic: e.monotonic}
	if !strings.Contains(e.Message, "dmesg-") {
		return s
	}
	s.Kind = recover.SignCrashRecord
	if _, line, ok := strings.Cut(e.fields["FILE"], panicLine); ok {
		line, _, _ = strings.Cut(line, "\n")
		s.Cause = panicCause(line)
	}
	return s
}

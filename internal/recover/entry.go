package recover

import "time"

// An Entry is a journal entry that a verdict quotes (systemd.journal-fields(7)).
type Entry struct {
	// Cursor identifies the entry: journalctl --cursor=… shows it. It is empty for
	// evidence from outside the journal, such as the bootstatus of a watchdog.
	Cursor string    `json:"cursor"`
	Time   time.Time `json:"time"`
	// Message is MESSAGE=.
	Message string `json:"message"`
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
	// Exit says how a process ended, such as "killed 9". Only SignProcessExit has it.
	Exit string
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

package recover

import "time"

// An Entry is a journal entry, as far as verdicts need it
// (systemd.journal-fields(7)).
type Entry struct {
	// Cursor names the entry: journalctl --cursor=… shows it.
	Cursor string    `json:"cursor"`
	Time   time.Time `json:"time"`
	// Message is MESSAGE=.
	Message string `json:"message"`

	ID        string            `json:"-"` // MESSAGE_ID=, where the sender may say that
	Kernel    bool              `json:"-"` // _TRANSPORT=kernel
	PID       int               `json:"-"` // _PID=
	Monotonic time.Duration     `json:"-"` // since the boot began
	Fields    map[string]string `json:"-"` // what else was asked for, such as UNIT_RESULT
}

// Message IDs of systemd that verdicts rest on (sd-messages.h).
const (
	IDJournalStop  = "d93fb3c9c24d451a97cea615ce59c00b"
	IDShutdown     = "98268866d1d54a499c4e98921d93bc40" // logind: it was asked for
	IDUnitStarted  = "39f53479d3a045ac8e11786248231fbf"
	IDUnitStopped  = "9d1aaa27d60140bd96365438aad20286"
	IDUnitStopping = "de5b426a63be47a7b6ac3eaac82e2f6f"
	IDUnitSuccess  = "7ad2d189f7e94e70a38c781354912448" // it ended well, by itself or when told to
	IDUnitResult   = "d9b373ed55a64feb8242e02dbe79a49c" // UNIT_RESULT=
	msgProcessExit = "98e322203f7a4ed290d09fe03c09fe15" // EXIT_CODE=, EXIT_STATUS=
	msgOutOfMemory = "fe6faa94e7774663a0da52717891d8ef" // the kernel killed a process of a unit
	msgOomdKill    = "d989611b15e44c9dbf31e3c81256e4ed" // systemd-oomd killed a unit
)

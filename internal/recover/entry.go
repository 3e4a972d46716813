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

package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// sysWatchdogs is where the kernel shows the host's watchdogs.
const sysWatchdogs = "/sys/class/watchdog"

// cardReset is WDIOF_CARDRESET of linux/watchdog.h.
const cardReset = 0x20

// watchdogResets says which of the host's watchdogs reset it before this boot.
// Most drivers do not print it: it is in their bootstatus alone. Such an entry
// has no cursor, since it is none of the journal's.
func watchdogResets(sys string) (entries []recover.Entry) {
	files, _ := filepath.Glob(filepath.Join(sys, "*", "bootstatus")) // the pattern is well-formed: no error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		status, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil || status&cardReset == 0 {
			continue
		}
		dir := filepath.Dir(file)
		identity, _ := os.ReadFile(filepath.Join(dir, "identity")) // for people
		entries = append(entries, recover.Entry{Kernel: true, Message: fmt.Sprintf("%s (%s): the last reset was this watchdog's (bootstatus 0x%x)",
			filepath.Base(dir), strings.TrimSpace(string(identity)), status)})
	}
	return entries
}

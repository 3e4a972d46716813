package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// sysWatchdogs is the directory in which the kernel shows the host's watchdogs.
const sysWatchdogs = "/sys/class/watchdog"

// cardReset is WDIOF_CARDRESET of linux/watchdog.h: the watchdog reset the host.
const cardReset = 0x20

// watchdogResets returns a sign for each watchdog that reset the host before this
// boot. Most drivers do not print that. It is only in their bootstatus, so the sign
// has no cursor.
func watchdogResets(sys string) (signs []recover.Sign) {
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
		message := fmt.Sprintf("%s (%s): the last reset was this watchdog's (bootstatus 0x%x)",
			filepath.Base(dir), strings.TrimSpace(string(identity)), status)
		signs = append(signs, recover.Sign{Entry: recover.Entry{Message: message},
			Kind: recover.SignWatchdogReset, Cause: recover.CauseWatchdog})
	}
	return signs
}

package recover

import (
	"fmt"
	"time"
)

// inWords says what the end of a boot's journal shows of a power loss, whose last entry
// tells nothing by itself: when that was, how long before the next boot, and whether a
// shutdown had begun. evidence is that of ExplainHost.
func (end BootEnd) inWords(evidence []Sign) string {
	if len(evidence) == 0 || evidence[len(evidence)-1].Time.IsZero() {
		return ""
	}
	final := evidence[len(evidence)-1]
	text := "the last entry of the journal is of " + final.Time.Local().Format("2006-01-02 15:04:05")
	if next, ok := end.nextBoot(); ok && next.After(final.Time) { // the clock may be wrong after a power loss
		text += fmt.Sprintf(", %s before the next boot", next.Sub(final.Time).Round(100*time.Millisecond))
	}
	if end.shutdownBegun() {
		return text + "; a shutdown had begun, and did not end"
	}
	return text + "; no shutdown had begun"
}

// nextBoot is when the boot after it began: the first message of its kernel.
func (end BootEnd) nextBoot() (time.Time, bool) {
	for _, s := range end.Next {
		if !s.Time.IsZero() {
			return s.Time, true
		}
	}
	return time.Time{}, false
}

// shutdownBegun reports whether the tail has a sign of a shutdown.
func (end BootEnd) shutdownBegun() bool {
	for _, kind := range []SignKind{SignShutdownAsked, SignServicesStopped} {
		if _, ok := last(end.Tail, kind); ok {
			return true
		}
	}
	return false
}

package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// A journal in memory has only the running boot: those that crashed come from the history,
// with the moment when they were last known to be alive.
func TestBootsOfVolatileJournal(t *testing.T) {
	at := time.Date(2026, 11, 29, 14, 2, 0, 0, time.Local)
	crashed := func(id int, boot, previous string) recover.Report {
		return recover.Report{ID: id, BootID: boot, Started: begin, Finished: begin.Add(time.Second),
			Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: recover.CauseUnknown, LastAlive: at,
				Previous: &recover.Identity{BootID: previous}}}
	}
	reports := []recover.Report{crashed(1, "b", "a"), crashed(2, "c", "b"), crashed(3, "d", "c")}
	boots := []recover.Boot{{BootID: "d", First: at.Add(time.Hour), Last: at.Add(2 * time.Hour)}}
	ended := matchBoots(recover.WithLostBoots(boots, reports, 3), reports)
	var out bytes.Buffer
	printBoots(&out, ended, 0)
	for _, want := range []string{"alive until about 2026-11-29 14:02, then gone", "unknown", "running"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if len(ended) != 3 || ended[0].BootID != "b" || ended[1].Recovery.ID != 3 || !ended[1].NotInJournal {
		t.Errorf("the boots are %+v", ended)
	}
	// Where the journal may know of earlier boots, none is added.
	if all := recover.WithLostBoots(boots, reports, 1); len(all) != 1 {
		t.Errorf("the boots are %+v", all)
	}
}

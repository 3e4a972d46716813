package cli

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// The list says of each suspect what it is, when it is tried and when suspicion ends, and
// of each crash what was in flight.
func TestQuarantineList(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 30, hour, 0, 0, 0, time.Local) }
	q := control.Quarantine{
		Suspects: recover.Quarantine{
			{Name: "db", Strikes: 2, Case: "1", Since: at(7), Lived: 2, Ends: at(23)},
			{Name: "evil", Strikes: 3, Case: "1", Since: at(8), Quarantined: true, NextTry: at(9)},
			{Name: "named", Strikes: 2, Case: "3", Since: at(8), Quarantined: true, Named: true, Evidence: true},
			{Name: "old", Strikes: 1, Since: at(6)},
			{Name: "seen", Strikes: 1, Case: "4", Since: at(8), Noted: true, Lived: 7},
		},
		Crashes: []recover.Crash{
			{BootID: "1", Case: "1", Noticed: at(6), Cause: recover.CausePowerLoss, InFlight: []string{"db", "evil", "web"}},
			{BootID: "3", Case: "3", Noticed: at(8), Cause: recover.CauseOOM, Named: "named", InFlight: []string{"named"},
				Started: []string{"sync"}},
			{BootID: "4", Case: "4", Noticed: at(8), Cause: recover.CausePanic, InFlight: []string{"db", "seen"}},
		},
		Quiet: 3, RecoveryComplete: true,
	}
	var b strings.Builder
	printQuarantine(&b, q, 0)
	got := b.String()
	for _, want := range []string{
		"3 crashes, no container explains them",
		"CONTAINER STATE STRIKES SINCE NEXT TRY LIVED SUSPICION ENDS",
		"db suspect 2 2026-11-30 07:00:00 at the next recovery 2 of 8 after 6 more soaks, or 2026-11-30 23:00:00",
		"evil quarantined 3 2026-11-30 08:00:00 2026-11-30 09:00:00 0 of 8 after 8 more soaks, from its next try on",
		"named quarantined 2 2026-11-30 08:00:00 when it is released 0 of 8 when it is released",
		"old suspect 1 2026-11-30 06:00:00 at the next recovery 0 of 1 after one more soak",
		"seen noted 1 2026-11-30 08:00:00 at the next recovery 7 of 8 after one more soak",
		"NOTICED CAUSE EVIDENCE CRASHED BOOT SUSPECTS ALSO IN FLIGHT",
		"2026-11-30 06:00:00 power-loss none: it may be power loss 1 db evil web",
		"out-of-memory the kernel names named 3 named sync (started by something else)",
		"kernel-panic no power loss 4 seen db",
		"archy-recovery quarantine release NAME",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	b.Reset()
	q.RecoveryComplete = false
	printQuarantine(&b, q, 0)
	if want := "named quarantined 2 2026-11-30 08:00:00 known after READY"; !strings.Contains(
		strings.Join(strings.Fields(b.String()), " "), want) {
		t.Errorf("before READY %q is missing in\n%s", want, b.String())
	}
	b.Reset()
	if printQuarantine(&b, control.Quarantine{}, 0); b.String() != "none\n" {
		t.Errorf("without suspects it prints %q", b.String())
	}
}

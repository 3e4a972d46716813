package recover_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// The clock of a host without a battery is set by years in the middle of a start: the
// report has the right durations and times, also after it was written and read.
func TestClockIsSetDuringRecovery(t *testing.T) {
	const years = 3 * 365 * 24 * time.Hour
	now := time.Now()
	before := func(ago time.Duration) time.Time { return recovertest.WallSet(now.Add(-ago), years) }
	r := recover.Report{Started: before(20 * time.Second), Finished: now.Add(-time.Second), Rows: []recover.Row{{
		Name: "a", State: recover.RowUp, Queued: before(19 * time.Second),
		Waits: []recover.Wait{{Began: before(18 * time.Second), Ended: now.Add(-6 * time.Second)}},
		Attempts: []recover.Attempt{{Started: before(15 * time.Second), Ended: now.Add(-5 * time.Second),
			Fell: &recover.Fall{At: now.Add(-2 * time.Second)}}}}}}
	if step := recover.Stepped(r.Started, now); step != years {
		t.Fatalf("the test's clock was set by %s", step)
	}
	text, err := json.Marshal(r.ByClockOf(now, true))
	if err != nil {
		t.Fatal(err)
	}
	var kept recover.Report
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if took := kept.Rows[0].Took(); took != 10*time.Second {
		t.Errorf("the start took %s", took)
	}
	if took, _ := recover.Expect([]recover.Report{kept}).Start("a"); took != 10*time.Second {
		t.Errorf("the next start is expected to take %s", took)
	}
	for what, c := range map[string]struct {
		at  time.Time
		ago time.Duration
	}{
		"started": {kept.Started, 20 * time.Second}, "finished": {kept.Finished, time.Second},
		"queued": {kept.Rows[0].Queued, 19 * time.Second}, "waited": {kept.Rows[0].Waits[0].Began, 18 * time.Second},
		"fell": {kept.Rows[0].Attempts[0].Fell.At, 2 * time.Second},
	} {
		if ago := now.Round(0).Sub(c.at); ago != c.ago {
			t.Errorf("%s %s ago, want %s", what, ago, c.ago)
		}
	}
	if notes := strings.Join(kept.Notes, "; "); !strings.Contains(notes, "set forward by 26280h0m0s") {
		t.Errorf("notes %q", notes)
	}
	if recover.Stepped(r.Rows[0].Attempts[0].Started, now) == 0 {
		t.Error("the report was changed in place")
	}
}

func TestClockIsNotSet(t *testing.T) {
	now := time.Now()
	r := recover.Report{Started: now.Add(-time.Minute)}
	if notes := r.ByClockOf(now, true).Notes; len(notes) != 1 || !strings.Contains(notes[0], "was not set") {
		t.Errorf("notes %q", notes)
	}
	if notes := r.ByClockOf(now, false).Notes; len(notes) > 0 {
		t.Errorf("notes %q for a clock that is right", notes)
	}
}

package daemon

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// The wall clock is set by years after READY: the report in the history is written again
// with the right times, and so is the moment last known alive. Not in a bubble of
// synctest, whose times have no monotonic clock.
func TestClockIsSetAfterReady(t *testing.T) {
	const years = 10 * 365 * 24 * time.Hour
	for name, by := range map[string]time.Duration{"set": years, "not set": 0} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost()
			s := newService(h, recover.DefaultPolicy())
			earlier := func(ago time.Duration) time.Time { return recovertest.WallSet(time.Now().Add(-ago), by) }
			s.board.change(func() {
				s.board.report = recover.Report{Started: earlier(time.Minute), Finished: earlier(30 * time.Second)}
			})
			s.history.written, s.history.next = earlier(30*time.Second), time.Now()
			s.history.checkClock()
			s.history.close()
			p := &s.keeper.pulse
			p.last, p.next = earlier(30*time.Second), time.Now().Add(time.Minute)
			p.beat(recover.Snapshot{}, 0)
			h.Mu.Lock()
			defer h.Mu.Unlock()
			if by == 0 {
				if len(h.Reports) > 0 || h.LastAlive != nil {
					t.Error("written again without a reason")
				}
				return
			}
			if len(h.Reports) != 1 || h.LastAlive == nil {
				t.Fatalf("%d reports are written again, last alive %v", len(h.Reports), h.LastAlive)
			}
			kept := h.Reports[0]
			if ago := time.Now().Round(0).Sub(kept.Finished.Round(0)); ago > time.Hour {
				t.Errorf("the report says that it was complete %s ago", ago)
			}
			if took := kept.Finished.Round(0).Sub(kept.Started.Round(0)); took.Round(time.Second) != 30*time.Second {
				t.Errorf("the report says that it took %s", took)
			}
			if notes := strings.Join(kept.Notes, "; "); !strings.Contains(notes, "set forward by") {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

func TestClockBehindLastBoot(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.LastAlive = &recover.LastAlive{BootID: "b1", Time: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	_, report, err := live(t, h, recover.DefaultPolicy())
	if err != nil || !strings.Contains(strings.Join(report.Notes, "; "), "the clock was not set") {
		t.Errorf("%v, notes %q", err, report.Notes)
	}
}

package daemon

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// The moment last known alive is written at READY, and then with the timer's tick, at
// most every ten minutes. Nothing else wakes the daemon for it.
func TestLastAliveIsWritten(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	synctest.Test(t, func(t *testing.T) {
		s := newService(h, recover.DefaultPolicy())
		done := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		beats := func() int {
			h.Mu.Lock()
			defer h.Mu.Unlock()
			return h.Beats
		}
		if n := beats(); n != 1 {
			t.Errorf("written %d times at READY", n)
		}
		time.Sleep(time.Hour) // of the bubble's time
		if n := beats(); n != 1 {
			t.Errorf("written %d times without a tick", n)
		}
		for range 30 { // an hour of ticks
			time.Sleep(2 * time.Minute)
			if _, err := s.TakeSnapshot(ctx); err != nil {
				t.Error(err)
			}
		}
		if n := beats(); n < 6 || n > 7 {
			t.Errorf("written %d times after an hour of ticks", n)
		}
		if ago := time.Since(h.LastAlive.Time); ago > aliveEvery {
			t.Errorf("the last one is %s old", ago)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The journal is kept in memory only: the verdict says until when the host was alive, and
// a note says what to do.
func TestVolatileJournal(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker, h.VolatileJournal = recovertest.Crashed, true
	at := time.Date(2026, 11, 29, 14, 2, 30, 0, time.Local)
	h.LastAlive = &recover.LastAlive{BootID: "b1", Time: at}
	if _, _, err := live(t, h, recover.DefaultPolicy()); err != nil {
		t.Fatal(err)
	}
	report := h.Reports[0] // the cause may come after READY
	if want := "alive until about 2026-11-29 14:02, then gone"; !strings.HasSuffix(report.Verdict.Reason, want) {
		t.Errorf("the reason is %q", report.Verdict.Reason)
	}
	if !report.Verdict.LastAlive.Equal(at) {
		t.Errorf("last alive at %s", report.Verdict.LastAlive)
	}
	if strings.Count(strings.Join(report.Notes, "\n"), "90-persistent.conf") != 1 {
		t.Errorf("the notes are %q", report.Notes)
	}
	running(t, h, io.Discard, func(s *Service) {
		untilReady(s)
		synctest.Wait()
		if st, _ := s.Status(); !st.JournalVolatile {
			t.Error("the status does not say it")
		}
	})
}

// Only what happened since a look confirmed the snapshot is replayed; nothing is taken
// from the confirmation of another snapshot.
func TestReplaySinceConfirmed(t *testing.T) {
	for name, c := range map[string]struct {
		alive recover.LastAlive
		want  time.Duration
	}{
		"confirmed":           {recover.LastAlive{BootID: "b1", Snapshot: 5, Confirmed: 9}, 9},
		"of another snapshot": {recover.LastAlive{BootID: "b1", Snapshot: 4, Confirmed: 9}, 5},
		"of another boot":     {recover.LastAlive{BootID: "b0", Snapshot: 5, Confirmed: 9}, 5},
		"not confirmed":       {recover.LastAlive{BootID: "b1"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a")
			h.Marker, h.LastAlive = recovertest.Crashed, &c.alive
			h.Snapshot = &recover.Snapshot{BootID: "b1", Monotonic: 5,
				Containers: []recover.Container{{Name: "a", Unit: "a.service"}}}
			if _, _, err := live(t, h, recover.DefaultPolicy()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h.AskedSince, []time.Duration{c.want}) {
				t.Errorf("the journal was asked since %v, want %v", h.AskedSince, c.want)
			}
		})
	}
}

// A look that finds the set as it is on disk confirms it; one after which a change is
// held back does not.
func TestConfirmedByLook(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Plain("p", "running").Ran("a", "p")
	h.Marker = recovertest.Crashed
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h.JournalNow = func() time.Duration { return time.Hour + time.Since(began) }
		s := newService(h, recover.DefaultPolicy())
		done := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		time.Sleep(11 * time.Minute)
		_, _ = s.TakeSnapshot(ctx)
		if a := *h.LastAlive; a.Confirmed != time.Hour+11*time.Minute || a.Snapshot != h.Snapshot.Monotonic {
			t.Errorf("confirmed %+v, the snapshot is of %s", a, h.Snapshot.Monotonic)
		}
		for i := range 11 * 60 {
			tell(h, time.Second, func() {
				h.Plain("p", []recover.ContainerState{recover.StateExited, recover.StateRunning}[i%2])
			})
		}
		tell(h, time.Second, func() { h.Plain("p", recover.StateExited) })
		held, _ := recovertest.Store{H: h}.Snapshot()
		_, _ = s.TakeSnapshot(ctx)
		if recover.HasName(held.Containers, "p") && h.LastAlive.Confirmed != 0 {
			t.Errorf("confirmed while a change is held back: %+v", h.LastAlive)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

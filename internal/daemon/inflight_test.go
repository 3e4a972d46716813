package daemon

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"
)

// inFlight is what is in flight on disk.
func inFlight(h *recovertest.Host) (recover.InFlight, error) {
	return recovertest.Store{H: h}.InFlight()
}

// Two power cuts while nothing but it was in flight would quarantine it, and it
// was not even started.
func TestWaitForMountNotInFlight(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.Binds = map[string][]string{"a": {"/mnt/data"}}
	h.NotMounted = []string{"/mnt/data"}
	synctest.Test(t, func(t *testing.T) {
		h.Mounted = make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newService(h, recover.DefaultPolicy()).Run(ctx) }()
		time.Sleep(2 * engine.FlushWithin)
		if f, _ := inFlight(h); len(f.Names) > 0 {
			t.Errorf("%q are in flight, and wait for a mount", f.Names)
		}
		h.Start["a.service"] = recovertest.UpAfter(time.Second)
		close(h.Mounted)
		synctest.Wait()
		if f, _ := inFlight(h); !slices.Equal(f.Names, []string{"a"}) {
			t.Errorf("%q are in flight, want a, which is being started", f.Names)
		}
		stop()
		<-done
	})
}

func TestInFlightOnDisk(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	h.Start["b.service"] = recovertest.UpAfter(15 * time.Second)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newService(h, recover.DefaultPolicy()).Run(ctx) }()
		for _, step := range []struct {
			at   time.Duration
			want string
		}{
			{0, "a b"}, {19 * time.Second, "a b"}, {22 * time.Second, "b"}, {34 * time.Second, "b"}, {37 * time.Second, ""},
		} {
			time.Sleep(step.at - time.Since(began))
			synctest.Wait()
			f, _ := inFlight(h)
			if got := strings.Join(f.Names, " "); got != step.want {
				t.Errorf("after %s %q are in flight, want %q", step.at, got, step.want)
			}
		}
		stop()
		<-done
	})
}

// A unit that is ordered after archy-recovery starts at READY.
func TestDeferredInFlight(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
		return recover.Outcome{}, recover.ErrOrderedAfterUs
	}
	h.Start["b.service"] = recovertest.UpAfter(10 * time.Second)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := newService(h, recover.DefaultPolicy())
		go func() { done <- s.Run(ctx) }()
		time.Sleep(2 * engine.FlushWithin)
		if f, _ := inFlight(h); !slices.Equal(f.Names, []string{"b"}) {
			t.Errorf("%q are in flight before READY, want b", f.Names)
		}
		untilReady(s)
		if f, _ := inFlight(h); !slices.Equal(f.Names, []string{"a", "b"}) {
			t.Errorf("%q are in flight at READY, want both", f.Names)
		}
		stop()
		<-done
	})
}

// A disk that is full for a while does not leave behind what is no longer so.
func TestDiskFullForAWhile(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"b"}}
	h.Start["a.service"] = recovertest.UpAfter(15 * time.Second) // READY comes after the disk is full
	full := func(err error) {
		h.Mu.Lock()
		defer h.Mu.Unlock()
		h.WriteErr = err
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := newService(h, recover.DefaultPolicy())
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		full(recovertest.ErrBroken)
		untilReady(s)
		time.Sleep(time.Minute)
		st, _ := s.Status()
		if len(h.InFlight.Names) == 0 || h.Quarantine[0].Lived > 0 || st.Quarantine[0].Lived != 1 {
			t.Errorf("in flight are %q, suspected %+v: it was to be out of date", h.InFlight.Names, h.Quarantine)
		}
		if _, err := s.TakeSnapshot(ctx); err == nil {
			t.Error("a snapshot was written to a full disk")
		}
		after, _ := s.Status()
		if len(after.Recovery.Notes) != len(st.Recovery.Notes) {
			t.Errorf("noted again: %q", after.Recovery.Notes)
		}
		full(nil)
		_, _ = s.TakeSnapshot(ctx)
		if len(h.InFlight.Names) > 0 || h.Quarantine[0].Lived != 1 {
			t.Errorf("in flight are %q, suspected %+v", h.InFlight.Names, h.Quarantine)
		}
		stop()
		<-done
	})
}

// A recovery that is stopped in order leaves nothing in flight.
func TestStopClearsInFlight(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Ran("a")
	h.Marker = recovertest.Crashed
	h.Start["a.service"] = recovertest.Hangs
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		_ = newService(h, recover.DefaultPolicy()).Run(ctx)
	})
	if len(h.InFlight.Names) > 0 || h.Marker == nil {
		t.Errorf("in flight are %q, the marker is %v", h.InFlight.Names, h.Marker)
	}
}

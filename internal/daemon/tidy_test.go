package daemon

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// At the timer's tick the generated units of containers that are gone are removed, but
// not while podman's storage may be missing.
func TestGeneratedUnitsAreRemoved(t *testing.T) {
	h := recovertest.NewHost().Plain("p", "running").Plain("q", "exited").Ran("p")
	h.Marker = recovertest.Crashed
	synctest.Test(t, func(t *testing.T) {
		s := newService(h, recover.DefaultPolicy())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		_, _ = s.TakeSnapshot(ctx)
		h.Set(func() { delete(h.Sightings, "q") })
		_, _ = s.TakeSnapshot(ctx)
		h.Set(func() { clear(h.Sightings) })
		_, _ = s.TakeSnapshot(ctx)
		want := [][]string{{"p", "q"}, {"p"}}
		if !slices.EqualFunc(h.KeptGenerated, want, slices.Equal) {
			t.Errorf("kept %q, want %q", h.KeptGenerated, want)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A suspect whose container is gone for a day is forgotten, and its name leaves the
// user-stopped list. One that a unit runs, and one that is a member, is not.
func TestSuspectsThatAreGone(t *testing.T) {
	h := recovertest.NewHost().Plain("p", "running").Quadlet("unit").Ran("p")
	h.Marker = recovertest.Crashed
	for _, name := range []string{"gone", "p", "unit"} {
		h.Quarantine = h.Quarantine.With(recover.Suspect{Name: name, Strikes: 2, Quarantined: true, Listed: true})
	}
	h.UserStopped = []string{"gone", "unit"}
	synctest.Test(t, func(t *testing.T) {
		p := recover.DefaultPolicy()
		p.Parole = nil // else the others are tried, and let go
		s := newService(h, p)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		names := func() (names []string) {
			status, _ := s.Status()
			for _, suspect := range status.Quarantine {
				names = append(names, suspect.Name)
			}
			return names
		}
		_, _ = s.TakeSnapshot(ctx)
		h.Set(func() { h.Plain("p", "exited") }) // else it is cleared since it runs
		time.Sleep(23 * time.Hour)               // of the bubble's time
		_, _ = s.TakeSnapshot(ctx)
		if got := names(); !slices.Contains(got, "gone") {
			t.Errorf("after 23 hours the suspects are %q", got)
		}
		time.Sleep(2 * time.Hour)
		_, _ = s.TakeSnapshot(ctx)
		if got := names(); slices.Contains(got, "gone") || !slices.Contains(got, "unit") {
			t.Errorf("after 25 hours the suspects are %q", got)
		}
		if slices.Contains(h.UserStopped, "gone") || !slices.Contains(h.UserStopped, "unit") {
			t.Errorf("the user-stopped list is %q", h.UserStopped)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

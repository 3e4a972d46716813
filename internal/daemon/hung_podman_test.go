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

// Whatever podman does, a name comes onto the user-stopped list at once, and is on disk
// when that is answered: before READY, during a look, and during a full check.
func TestUserStoppedWhilePodmanHangs(t *testing.T) {
	for _, when := range []string{"while it is assessed", "at a look", "at a full check"} {
		t.Run(when, func(t *testing.T) {
			h := recovertest.NewHost().Plain("a", "running")
			h.Marker = recovertest.Crashed
			h.Snapshot = &recover.Snapshot{BootID: "b1", Containers: []recover.Container{{Name: "a"}}}
			h.Quarantine = recover.Quarantine{{Name: "a", Strikes: 2, Quarantined: true, Listed: true}}
			h.UserStopped = []string{"a"}
			synctest.Test(t, func(t *testing.T) {
				s := newService(h, recover.DefaultPolicy())
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				free := make(chan struct{})
				hang := func() {
					h.Set(func() {
						h.Stuck = map[string]chan struct{}{"a": free}
						h.OnList = func() error { <-free; return nil }
					})
				}
				if when == "while it is assessed" {
					hang()
				}
				go func() { done <- s.Run(ctx) }()
				synctest.Wait()
				switch when {
				case "at a look":
					hang()
					h.Changes <- struct{}{}
				case "at a full check":
					hang()
					go func() { _, _ = s.TakeSnapshot(ctx) }()
				}
				time.Sleep(time.Second) // of the bubble's time: the look is under way
				for _, name := range []string{"a", "b"} {
					began := time.Now()
					if _, err := s.SetUserStopped(name, true); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > 0 {
						t.Errorf("%s was answered for after %s", name, took)
					}
					h.Mu.Lock()
					if !slices.Contains(h.UserStopped, name) {
						t.Errorf("%s is not on disk: %q", name, h.UserStopped)
					}
					h.Mu.Unlock()
				}
				close(free)
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

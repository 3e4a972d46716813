package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// storageUnits records what is asked of it, and when.
type storageUnits struct {
	mu     sync.Mutex
	began  time.Time
	asked  []string
	masked bool
}

func (u *storageUnits) ask(what, root string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = append(u.asked, fmt.Sprintf("%s %s %s", what, root, time.Since(u.began).Round(10*time.Second)))
	if u.masked {
		return fmt.Errorf("sync: %w", recover.ErrMasked)
	}
	return nil
}

func (u *storageUnits) WatchImages(_ context.Context, root string) error { return u.ask("watch", root) }

func (u *storageUnits) AwaitImages(ctx context.Context, _ string, _ func() bool) error {
	<-ctx.Done()
	return ctx.Err()
}

func (u *storageUnits) Check(context.Context, string) (recover.StorageCheck, error) {
	return recover.StorageCheck{}, u.ask("check", "")
}

func (u *storageUnits) Sync(_ context.Context, root string) error { return u.ask("sync", root) }

// After READY images are watched, and the storage is synced: at once, and then when there are
// new containers, at most once a minute.
func TestStorageIsSynced(t *testing.T) {
	for name, test := range map[string]struct {
		masked bool
		want   []string
	}{
		"as it is": {false, []string{
			"watch /c 0s", "sync /c 0s", // at READY
			"sync /c 1m0s",  // a was made at 30 s
			"sync /c 10m0s", // b was made at 10 min: at once
			"sync /c 11m0s", // c was made soon after that
		}},
		"masked": {true, []string{"watch /c 0s", "sync /c 0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				h.GraphRoot = "/c"
				units := &storageUnits{began: time.Now(), masked: test.masked}
				world := worldOf(h)
				world.StorageUnits = units
				s := New(world, recover.DefaultPolicy(), recovertest.Here)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				makes := func(name string) {
					h.Set(func() {
						h.Sightings[name] = recover.Sighting{Container: recover.Container{Name: name}, ID: "id-" + name, State: "running"}
					})
					h.Changes <- struct{}{}
				}
				time.Sleep(30 * time.Second)
				makes("a")
				time.Sleep(9*time.Minute + 30*time.Second)
				makes("b")
				time.Sleep(5 * time.Second)
				makes("c")
				time.Sleep(10 * time.Second)
				h.Changes <- struct{}{} // nothing new
				time.Sleep(10 * time.Minute)
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if !slices.Equal(units.asked, test.want) {
					t.Errorf("asked\n%q, want\n%q", units.asked, test.want)
				}
			})
		})
	}
}

package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// onDisk is a host whose podman keeps its containers on a disk that is not mounted, after a
// crash: p has no unit, and podman knows it once the disk is there.
func onDisk() *recovertest.Host {
	h := recovertest.NewHost().Quadlet("q").Ran("p", "q")
	h.Snapshot.BootID, h.Snapshot.GraphRoot = "b1", "/disk/containers"
	h.Snapshot.Containers[1].Unit = "q.service"
	h.Marker = recovertest.Crashed
	h.NotMounted, h.GraphRoot = []string{"/disk", "/other"}, "/disk/containers"
	return h
}

// While podman's storage is not mounted podman is not asked, and nothing is started: podman
// would begin an empty store. All of them wait, and start when the mount is there.
func TestStorageComesLate(t *testing.T) {
	for _, podmanFirst := range []bool{false, true} {
		h := onDisk()
		h.PodmanFirst = podmanFirst
		synctest.Test(t, func(t *testing.T) {
			h.Mounted = make(chan struct{})
			s := newService(h, recover.DefaultPolicy())
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			time.Sleep(time.Minute) // of the bubble's time
			synctest.Wait()
			status, _ := s.Status()
			if h.Lists > 0 || len(started(h.History)) > 0 || status.State == recover.Ready {
				t.Errorf("podman was asked %d times, %q was started, %s", h.Lists, started(h.History), status.State)
			}
			for _, row := range status.Recovery.Rows {
				if row.State != recover.RowWaiting || !strings.Contains(row.Error, "/disk is not mounted") {
					t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
				}
			}
			if notes := strings.Join(status.Recovery.Notes, " "); !strings.Contains(notes, "storage is not mounted") {
				t.Errorf("the notes are %q", notes)
			}
			h.Set(func() { h.Plain("p", "exited"); close(h.Mounted) })
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got := slices.Sorted(slices.Values(started(h.History))); strings.Join(got, " ") != "container-p q" {
				t.Errorf("started %q", got)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		if got := recovertest.Names(h.Snapshot.Containers); strings.Join(got, " ") != "p q" {
			t.Errorf("the set is %q", got)
		}
	}
}

// The disk does not come in this boot: the set waits for the next.
func TestStorageMissing(t *testing.T) {
	h := onDisk()
	if got, _ := nextRun(t, h, recover.DefaultPolicy(), "b2"); len(got) > 0 || h.Lists > 0 {
		t.Errorf("started %q, podman was asked %d times", got, h.Lists)
	}
	h.NotMounted = []string{"/other"}
	h.Plain("p", "exited")
	if got, _ := nextRun(t, h, recover.DefaultPolicy(), "b3"); strings.Join(got, " ") != "container-p q" {
		t.Errorf("started %q with the disk", got)
	}
	if h.Snapshot.GraphRoot != "/disk/containers" {
		t.Errorf("the snapshot names %q", h.Snapshot.GraphRoot)
	}
}

// A member that nobody knows stays for three boots, beside others that are known: its disk
// may come.
func TestMissingIsRemembered(t *testing.T) {
	boots := func(t *testing.T, h *recovertest.Host, n int, before func(boot int)) (sets []string) {
		for boot := range n {
			h.Marker = &recover.Marker{Identity: recover.Identity{BootID: fmt.Sprint("b", boot+1), PID: 1}}
			before(boot)
			nextRun(t, h, recover.DefaultPolicy(), fmt.Sprint("b", boot+2))
			sets = append(sets, strings.Join(recovertest.Names(h.Snapshot.Containers), " "))
		}
		return sets
	}
	t.Run("it leaves after three", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("q").Ran("gone", "q")
		got := boots(t, h, 3, func(int) { down(h, "q") })
		if want := []string{"gone q", "gone q", "q"}; !slices.Equal(got, want) {
			t.Errorf("the sets are %q, want %q", got, want)
		}
	})
	t.Run("it comes in the second", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("q").Ran("back", "q")
		got := boots(t, h, 5, func(boot int) {
			down(h, "q")
			if boot == 1 {
				h.Plain("back", "exited")
			}
		})
		if strings.Join(slices.Compact(got), ",") != "back q" {
			t.Errorf("the sets are %q", got)
		}
		if h.Sightings["back"].State != recover.StateRunning {
			t.Errorf("it is %+v", h.Sightings["back"])
		}
	})
	t.Run("several crashes of the service in one boot count once", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("q").Ran("gone", "q")
		for range 5 {
			h.Marker = &recover.Marker{Identity: recover.Identity{BootID: "b2", PID: 1}}
			nextRun(t, h, recover.DefaultPolicy(), "b2")
		}
		if got := recovertest.Names(h.Snapshot.Containers); strings.Join(got, " ") != "gone q" {
			t.Errorf("the set is %q", got)
		}
	})
	t.Run("the journal tells of its removal", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("q").Ran("gone", "q")
		boots(t, h, 1, func(int) { down(h, "q") })
		h.InBoot, h.Events = "b2", recovertest.Story("remove gone")
		got := boots(t, h, 1, func(int) { down(h, "q"); h.Marker.BootID = "b2" })
		if got[0] != "q" {
			t.Errorf("the set is %q", got)
		}
	})
	t.Run("boots without any container do not count", func(t *testing.T) {
		h := recovertest.NewHost().Ran("a", "b")
		got := boots(t, h, 5, func(int) {})
		if strings.Join(slices.Compact(got), ",") != "a b" {
			t.Errorf("the sets are %q", got)
		}
	})
	t.Run("podman answers late that it does not know it", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("q").Ran("gone", "q")
		h.PodmanErr = recovertest.ErrBroken
		h.Start["q.service"] = func(context.Context, int) (recover.Outcome, error) {
			h.Set(func() { h.PodmanErr = nil })
			return recovertest.Up, nil
		}
		got := boots(t, h, 1, func(int) {})
		if got[0] != "gone q" {
			t.Errorf("the set is %q", got)
		}
	})
}

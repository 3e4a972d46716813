package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// checkedStorage answers a check after a while.
type checkedStorage struct {
	storageUnits
	takes  time.Duration
	err    error
	answer recover.StorageCheck
	checks int
}

func (u *checkedStorage) Check(ctx context.Context, root string) (recover.StorageCheck, error) {
	u.checks++
	u.answer.GraphRoot = root
	select {
	case <-time.After(u.takes):
		return u.answer, u.err
	case <-ctx.Done():
		return recover.StorageCheck{}, ctx.Err()
	}
}

// damagedHost is a host after a crash: web and app have units and images, p has no unit, and
// podman knows it.
func damagedHost() *recovertest.Host {
	h := recovertest.NewHost().Quadlet("web").Quadlet("app").Plain("p", "exited").Ran("app", "p", "web")
	h.Sightings["p"] = recover.Sighting{
		Container: recover.Container{Name: "p", Image: "localhost/p:1"}, ID: "id-p", State: "exited"}
	for i, c := range h.Snapshot.Containers {
		h.Snapshot.Containers[i].Image = "localhost/" + c.Name + ":1"
	}
	h.Snapshot.BootID, h.Snapshot.GraphRoot, h.GraphRoot = "b1", "/c", "/c"
	h.Marker = recovertest.Crashed
	return h
}

func damageOf(image string) recover.Damage {
	return recover.Damage{Path: "overlay/x/diff", What: "has 3 files that are empty", Layer: "x",
		Images: []recover.StoredImage{{ID: "i", Names: []string{image}}}}
}

// recoverOn runs a recovery on a host with a storage, and returns its report after the soak.
func recoverOn(t *testing.T, h *recovertest.Host, units StorageUnits, then ...func(*Service)) recover.Report {
	t.Helper()
	world := worldOf(h)
	world.StorageUnits = units
	return recoverWorld(t, world, then...)
}

// recoverWorld is recoverOn for a world.
func recoverWorld(t *testing.T, world World, then ...func(*Service)) recover.Report {
	t.Helper()
	return recoverWith(t, world, recover.DefaultPolicy(), then...)
}

// recoverWith is recoverWorld with a policy.
func recoverWith(t *testing.T, world World, p recover.Policy, then ...func(*Service)) recover.Report {
	t.Helper()
	s := New(world, p, recovertest.Here)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	time.Sleep(10 * time.Minute)
	for _, do := range then {
		do(s)
	}
	status, _ := s.Status()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return status.Recovery
}

func rowIn(t *testing.T, r recover.Report, name string) recover.Row {
	t.Helper()
	for _, row := range r.Rows {
		if row.Name == name {
			return row
		}
	}
	t.Fatalf("no row %s", name)
	return recover.Row{}
}

// What is known to be damaged before its start is not started. It stays in the set, makes no
// suspect, and the others start. The answer that nothing waits for comes at once here.
func TestDamagedIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := damagedHost()
		// A unit orders app after db, which takes a moment: the answer is there by then.
		h.PodmanTakes = time.Second
		h.PodmanFirst = true
		own := recover.StoredContainer{ID: "id-p", Names: []string{"p"}}
		units := &checkedStorage{answer: recover.StorageCheck{Damages: []recover.Damage{damageOf("localhost/web:1"),
			{Path: "overlay/y/lower", What: "is empty", Layer: "y", Own: &own, Containers: []recover.StoredContainer{own}}}}}
		report := recoverOn(t, h, units)
		for name, want := range map[string]string{
			"web": "its image localhost/web:1 is damaged in podman's storage: overlay/x/diff has 3 files that are empty. " +
				"See what mends it: archy-recovery repair web. To start it all the same: archy-recovery retry web",
			"p": "its own layer is damaged in podman's storage: overlay/y/lower is empty. " +
				"See what mends it: archy-recovery repair p. To start it all the same: archy-recovery retry p",
		} {
			row := rowIn(t, report, name)
			if row.State != recover.RowDamaged || row.Error != want || len(row.Attempts) > 0 {
				t.Errorf("%s is %s after %d attempts: %s", name, row.State, len(row.Attempts), row.Error)
			}
		}
		if row := rowIn(t, report, "app"); row.State != recover.RowUp {
			t.Errorf("app is %s: %s", row.State, row.Error)
		}
		if got := strings.Join(started(h.History), " "); got != "app" {
			t.Errorf("started %s", got)
		}
		if !recover.HasName(h.Snapshot.Containers, "web") || !recover.HasName(h.Snapshot.Containers, "p") {
			t.Errorf("the set is %v", h.Snapshot.Containers)
		}
		if len(h.InFlight.Names) > 0 {
			t.Errorf("in flight: %v", h.InFlight)
		}
		note := strings.Join(report.Notes, "\n")
		for _, want := range []string{"localhost/web:1", "the containers p", "archy-recovery storage check /c"} {
			if !strings.Contains(note, want) {
				t.Errorf("the notes lack %q: %s", want, note)
			}
		}
	})
}

// The operator has a damaged container started all the same.
func TestDamagedIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := damagedHost()
		h.PodmanTakes, h.PodmanFirst = time.Second, true
		units := &checkedStorage{answer: recover.StorageCheck{Damages: []recover.Damage{damageOf("localhost/web:1")}}}
		report := recoverOn(t, h, units, func(s *Service) {
			if names, err := s.Retry(t.Context(), ""); err != nil || len(names) > 0 {
				t.Errorf("without a name it is tried: %q, %v", names, err)
			}
			if _, err := s.Retry(t.Context(), "web"); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		})
		if row := rowIn(t, report, "web"); row.State != recover.RowUp {
			t.Errorf("web is %s: %s", row.State, row.Error)
		}
	})
}

// An answer that comes after the start explains the failure.
func TestDamageIsFoundLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := damagedHost()
		h.Start["web.service"] = recovertest.Fails
		units := &checkedStorage{takes: 3 * time.Second,
			answer: recover.StorageCheck{Damages: []recover.Damage{damageOf("localhost/web:1")}}}
		report := recoverOn(t, h, units)
		row := rowIn(t, report, "web")
		why := row.Attempts[0].Why
		if why == nil || why.Reason != "image-damaged" || !strings.Contains(why.Cause, "archy-recovery retry web") {
			t.Errorf("the first attempt failed for %+v", why)
		}
		if row.State != recover.RowDamaged {
			t.Errorf("the second attempt was made though the damage was known by then: %s", row.State)
		}
		if row := rowIn(t, report, "app"); row.State != recover.RowUp {
			t.Errorf("app is %s", row.State)
		}
	})
}

// Without an answer, and without a crash of the host, everything is as without the check.
func TestNoAnswer(t *testing.T) {
	for name, units := range map[string]*checkedStorage{
		"fails":      {err: errors.New("no such unit")},
		"is masked":  {err: recover.ErrMasked},
		"never ends": {takes: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := damagedHost()
				began := time.Now()
				report := recoverOn(t, h, units)
				if report.Failed() || units.checks != 1 || report.Finished.Sub(began) > time.Second {
					t.Errorf("%d checks, READY after %s: %+v", units.checks, report.Finished.Sub(began), report.Rows)
				}
			})
		})
	}
	t.Run("no crash of the host", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := damagedHost()
			h.Marker = nil
			units := &checkedStorage{}
			recoverOn(t, h, units)
			if units.checks != 0 {
				t.Error("the storage was looked at")
			}
		})
	})
}

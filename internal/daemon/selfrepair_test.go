package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// After a crash of the host the daemon repairs by itself what Repair= says, once.
func TestRepairsItself(t *testing.T) {
	const web, app = "remove ghost", "pull localhost/app@sha256:1"
	for name, test := range map[string]struct {
		level recover.RepairLevel
		set   func(*recovertest.Host)
		want  []string
		never []string
	}{
		"no":         {level: recover.RepairNothing, never: []string{web, app}},
		"containers": {level: recover.RepairContainers, want: []string{web}, never: []string{app, "remove image"}},
		"images":     {level: recover.RepairImages, want: []string{web, app}, never: []string{"remove id-p"}},
		"in quarantine": {level: recover.RepairImages, set: func(h *recovertest.Host) {
			h.Quarantine = recover.Quarantine{{Name: "web", Strikes: 2, BootID: "b0", Quarantined: true}}
		}, want: []string{app}, never: []string{web}},
		"user-stopped": {level: recover.RepairImages, set: func(h *recovertest.Host) {
			h.UserStopped = []string{"app"}
		}, want: []string{web}, never: []string{app}},
		"without a crash of the host": {level: recover.RepairImages, set: func(h *recovertest.Host) {
			h.Snapshot.BootID = recovertest.Here.BootID
			h.Marker = &recover.Marker{Identity: recovertest.Here}
			h.Marker.PID++
		}, never: []string{web, app}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := brokenHost()
				if test.set != nil {
					test.set(h)
				}
				world := worldOf(h)
				world.StorageUnits, world.Mender = recovertest.Storage{H: h}, recovertest.Storage{H: h}
				p := recover.DefaultPolicy()
				p.Repair = test.level
				recoverWith(t, world, p, func(*Service) {
					time.Sleep(time.Hour)
					history := historyOf(h)
					for _, want := range test.want {
						if strings.Count(history, want) != 1 {
							t.Errorf("%q is not once in\n%s", want, history)
						}
					}
					for _, never := range test.never {
						if strings.Contains(history, never) {
							t.Errorf("%q is in\n%s", never, history)
						}
					}
				})
			})
		})
	}
}

// While retries are held nothing is repaired by itself. It is when the hold ends.
func TestRepairsItselfAfterHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		h.Hold = &recover.Hold{BootID: recovertest.Here.BootID, Until: time.Now().Add(30 * time.Minute)}
		world := worldOf(h)
		world.StorageUnits, world.Mender = recovertest.Storage{H: h}, recovertest.Storage{H: h}
		p := recover.DefaultPolicy()
		p.Repair, p.RetryAfterReady = recover.RepairImages, false // so nothing else wakes it
		recoverWith(t, world, p, func(*Service) {
			time.Sleep(10 * time.Minute)
			if history := historyOf(h); strings.Contains(history, "remove") {
				t.Errorf("the history is\n%s", history)
			}
			time.Sleep(20 * time.Minute)
			if history := historyOf(h); !strings.Contains(history, "remove ghost") ||
				!strings.Contains(history, comesAgain) {
				t.Errorf("the history is\n%s", history)
			}
		})
	})
}

// After a power cut the network may come late: the daemon asks the registry again.
func TestRepairsItselfLater(t *testing.T) {
	for _, fails := range []string{"ask", "pull"} {
		synctest.Test(t, func(t *testing.T) {
			h := brokenHost()
			h.MendErr = fails
			world := worldOf(h)
			world.StorageUnits, world.Mender = recovertest.Storage{H: h}, recovertest.Storage{H: h}
			p := recover.DefaultPolicy()
			p.Repair = recover.RepairImages
			recoverWith(t, world, p, func(s *Service) {
				h.Set(func() { h.MendErr, h.Start["app.service"] = "", recovertest.UpAfter(0) })
				time.Sleep(time.Hour)
				if row := rowOf(s, "app"); row.State != recover.RowUp {
					t.Errorf("%s: app is %s: %s\n%s", fails, row.State, row.Error, historyOf(h))
				}
				if history := historyOf(h); strings.Count(history, "tag localhost/app:1") != 1 {
					t.Errorf("%s: the history is\n%s", fails, history)
				}
			})
		})
	}
}

// An image that has come again keeps nothing down: a start that fails for another reason is tried
// again, although the look at the storage after the crash found its damage.
func TestMendedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		repairOn(t, h, func(s *Service) {
			if r, err := mends(s.Repair(t.Context(), "app")); err != nil || len(r) != 1 || r[0].Error != "" {
				t.Errorf("%+v, %v", r, err)
			}
			time.Sleep(10 * time.Minute)
			if row := rowOf(s, "app"); row.State != recover.RowFailed {
				t.Errorf("app is %s: %s", row.State, row.Error)
			}
			h.Set(func() { h.Start["app.service"] = recovertest.UpAfter(0) })
			time.Sleep(time.Hour)
			if row := rowOf(s, "app"); row.State != recover.RowUp {
				t.Errorf("app is %s: %s", row.State, row.Error)
			}
		})
	})
}

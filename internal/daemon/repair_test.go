package daemon

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/recovertest"
)

// brokenHost is damagedHost, on which the image of app is damaged, the own layer of p, and the
// name of web is held by a container that only the storage knows.
func brokenHost() *recovertest.Host {
	h := damagedHost()
	own := recover.StoredContainer{ID: "id-p", Names: []string{"p"}}
	h.Damages = []recover.Damage{damageOf("localhost/app:1"),
		{Path: "overlay/y/lower", What: "is empty", Own: &own, Containers: []recover.StoredContainer{own}}}
	h.Images = map[string]string{"localhost/app:1": "i"}
	h.External = []recover.StoredName{{ID: "ghost", Name: "web", External: true}}
	h.Start["web.service"] = recovertest.Fails
	h.Written = map[string][]diagnosis.Line{"web": {{Comm: "podman", Transport: "stdout", Message: "Error: creating " +
		`container storage: the container name "web" is already in use by 0123456789abcdef. You have to remove that ` +
		"container to be able to reuse that name: that name is already in use by an external entity"}}}
	h.Start["container-p.service"] = recovertest.Fails
	h.Start["app.service"] = recovertest.Fails
	return h
}

// repairOn has a host recover, and then calls do.
func repairOn(t *testing.T, h *recovertest.Host, do func(*Service)) {
	t.Helper()
	world := worldOf(h)
	world.StorageUnits, world.Mender = recovertest.Storage{H: h}, recovertest.Storage{H: h}
	recoverWorld(t, world, do)
}

// comesAgain is what an image's repair does: the registry is asked first, and the name never leads
// nowhere.
const comesAgain = `ask localhost/app@sha256:1
reserve localhost/app:1
remove image i
pull localhost/app@sha256:1
tag localhost/app:1
remove image reserved-localhost/app:1
`

// mends is what a repair, or its plan, lists.
func mends(r recover.Repairs, err error) ([]recover.Repair, error) { return r.Repairs, err }

// historyOf is what was done on a host, a line each.
func historyOf(h *recovertest.Host) string {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	return strings.Join(h.History, "\n")
}

// A plan changes nothing. A repair removes what only the storage knows, has the image come again by
// its digest, starts these containers, and leaves what holds data.
func TestRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		repairOn(t, h, func(s *Service) {
			synctest.Wait()
			before := historyOf(h)
			plan, err := mends(s.Repairs(t.Context(), ""))
			if err != nil || len(plan) != 3 || historyOf(h) != before {
				t.Errorf("%+v, %v", plan, err)
			}
			h.Set(func() {
				h.Start["web.service"], h.Start["app.service"] = recovertest.UpAfter(0), recovertest.UpAfter(0)
			})
			done, err := mends(s.Repair(t.Context(), ""))
			if err != nil || len(done) != 3 {
				t.Errorf("%+v, %v", done, err)
			}
			for _, r := range done {
				switch {
				case r.Error != "":
					t.Errorf("%s: %s", r.Container, r.Error)
				case r.Container == "web" && (len(r.Steps) != 2 || !r.Steps[0].Done || !r.Steps[1].Done):
					t.Errorf("web: %+v", r)
				case r.Container == "app" && r.Comes() != "localhost/app@sha256:1":
					t.Errorf("app: %+v", r)
				case r.Container == "p" && !strings.Contains(r.Refused, "Lost would be"):
					t.Errorf("p: %s", r.Refused)
				}
			}
			time.Sleep(time.Minute)
			for _, name := range []string{"web", "app"} {
				if row := rowOf(s, name); row.State != recover.RowUp {
					t.Errorf("%s is %s: %s", name, row.State, row.Error)
				}
			}
			history := historyOf(h)
			if !strings.Contains(history, "remove ghost") || strings.Contains(history, "remove id-p") ||
				!strings.Contains(history, comesAgain) {
				t.Errorf("the history is %s", history)
			}
		})
	})
}

func TestRepairOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		repairOn(t, h, func(s *Service) {
			if r, err := mends(s.Repairs(t.Context(), "p")); err != nil || len(r) != 1 || r[0].Container != "p" {
				t.Errorf("%+v, %v", r, err)
			}
			for name, want := range map[string]error{"nobody": ErrNotDamaged, "../x": nil} {
				if _, err := mends(s.Repair(t.Context(), name)); err == nil || want != nil && !errors.Is(err, want) {
					t.Errorf("%s: %v", name, err)
				}
			}
			h.Set(func() { h.StorageErr = errors.New("no unit") })
			if _, err := mends(s.Repairs(t.Context(), "")); err == nil {
				t.Error("it is not known what is damaged, and that is no error")
			}
		})
	})
}

// What would not be started afterwards is not removed: one in quarantine, and one whose unit does
// not show that it makes its container anew.
func TestRepairRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*recovertest.Host)
		want string
	}{
		"in quarantine": {func(h *recovertest.Host) {
			h.Quarantine = recover.Quarantine{{Name: "web", Strikes: 2, BootID: "b0", Quarantined: true}}
		}, "web is in quarantine"},
		"its unit keeps its container": {func(h *recovertest.Host) {
			h.Units["web.service"] = recover.ContainerUnit{Unit: "web.service", Container: recover.Container{Name: "web"}}
		}, "no unit makes it anew"},
		"its unit shows no container": {func(h *recovertest.Host) {
			h.Units["web.service"] = recover.ContainerUnit{Unit: "web.service", Discards: true}
		}, "no unit makes it anew"},
		"made by buildah": {func(h *recovertest.Host) { h.External[0].Foreign = true }, "buildah made the container"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := brokenHost()
				test.set(h)
				repairOn(t, h, func(s *Service) {
					r, err := mends(s.Repair(t.Context(), "web"))
					if err != nil || len(r) != 1 || len(r[0].Steps) > 0 || !strings.Contains(r[0].Refused, test.want) {
						t.Errorf("%+v, %v", r, err)
					}
					if strings.Contains(historyOf(h), "remove ghost") {
						t.Error("it was removed")
					}
				})
			})
		})
	}
}

// If something fails on the way, the next repair goes on there. If the registry does not have the
// image, nothing is changed.
func TestImageRepairGoesOn(t *testing.T) {
	for fails, want := range map[string]string{
		"ask":            comesAgain,
		"reserve":        comesAgain,
		"remove image i": strings.Replace(comesAgain, "reserve localhost/app:1\n", "", 1),
		"pull":           strings.Replace(comesAgain, "reserve localhost/app:1\nremove image i\n", "", 1),
		"tag":            strings.Replace(comesAgain, "reserve localhost/app:1\nremove image i\n", "", 1),
	} {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := brokenHost()
				h.MendErr = fails
				repairOn(t, h, func(s *Service) {
					r, err := mends(s.Repair(t.Context(), "app"))
					if err != nil || len(r) != 1 || r[0].Error == "" {
						t.Errorf("%+v, %v", r, err)
					}
					if fails == "ask" && !strings.Contains(r[0].Error, "nothing was changed") {
						t.Error(r[0].Error)
					}
					before := historyOf(h)
					if fails == "ask" && strings.Contains(before, "image") {
						t.Errorf("the history is %s", before)
					}
					h.Set(func() { h.MendErr, h.Start["app.service"] = "", recovertest.UpAfter(0) })
					if r, err = mends(s.Repair(t.Context(), "app")); err != nil || len(r) != 1 || r[0].Error != "" {
						t.Errorf("%+v, %v", r, err)
					}
					time.Sleep(time.Minute)
					if got := strings.TrimPrefix(historyOf(h), before+"\n"); !strings.HasPrefix(got, want) {
						t.Errorf("the second repair did\n%s\nwant\n%s", got, want)
					}
					if row := rowOf(s, "app"); row.State != recover.RowUp {
						t.Errorf("app is %s: %s", row.State, row.Error)
					}
				})
			})
		})
	}
}

// If not all could be looked at, that nothing is damaged is not what a repair says.
func TestRepairSawNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		h.Damages, h.External, h.Images = nil, nil, map[string]string{"localhost/app:1": "i"}
		repairOn(t, h, func(s *Service) {
			if _, err := mends(s.Repairs(t.Context(), "app")); !errors.Is(err, ErrNotDamaged) ||
				strings.Contains(err.Error(), "not all") {
				t.Error(err)
			}
			h.Set(func() { h.Hurried = true })
			if _, err := mends(s.Repairs(t.Context(), "app")); !errors.Is(err, ErrNotDamaged) ||
				!strings.Contains(err.Error(), "archy-recovery storage check /c") {
				t.Error(err)
			}
		})
	})
}

package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// fromArchive is what an image's repair does if there is an archive: no registry is asked.
const fromArchive = `reserve localhost/app:1
remove image i
load i
tag localhost/app:1
remove image reserved-localhost/app:1
`

// archiveOn has a host repair app, with this archive of its image.
func archiveOn(t *testing.T, h *recovertest.Host, archive string, do func(*Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h.Archives = map[string]string{"i": archive}
		world := worldOf(h)
		world.StorageUnits, world.Mender = recovertest.Storage{H: h}, recovertest.Storage{H: h}
		world.Archives = recovertest.Archives{H: h}
		p := recover.DefaultPolicy()
		p.Repair = recover.RepairNothing
		recoverWith(t, world, p, do)
	})
}

// repairApp repairs app, whose start succeeds from now on.
func repairApp(t *testing.T, h *recovertest.Host, s *Service) recover.Repair {
	t.Helper()
	h.Set(func() { h.MendErr, h.Start["app.service"] = "", recovertest.UpAfter(0) })
	done, err := mends(s.Repair(t.Context(), "app"))
	if err != nil || len(done) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	time.Sleep(time.Minute)
	return done[0]
}

// An image that was built here comes again from its archive.
func TestRepairFromArchive(t *testing.T) {
	h := brokenHost()
	h.NoDigests = true
	archiveOn(t, h, "archive of i", func(s *Service) {
		plan, err := mends(s.Repairs(t.Context(), "app"))
		if err != nil || len(plan) != 1 || plan[0].Comes() != "i" || strings.Contains(historyOf(h), "load") {
			t.Errorf("%+v, %v", plan, err)
		}
		done := repairApp(t, h, s)
		if done.Error != "" || !strings.Contains(historyOf(h), fromArchive) || strings.Contains(historyOf(h), "ask") {
			t.Errorf("%+v\n%s", done, historyOf(h))
		}
		if row := rowOf(s, "app"); row.State != recover.RowUp {
			t.Errorf("app is %s: %s", row.State, row.Error)
		}
	})
}

// If the power fails on the way, the next repair goes on, also without a registry.
func TestRepairFromArchiveGoesOn(t *testing.T) {
	for fails, want := range map[string]string{
		"reserve":        fromArchive,
		"remove image i": strings.Replace(fromArchive, "reserve localhost/app:1\n", "", 1),
		"load":           strings.Replace(fromArchive, "reserve localhost/app:1\nremove image i\n", "", 1),
		"tag":            "tag localhost/app:1\n",
	} {
		t.Run(fails, func(t *testing.T) {
			h := brokenHost()
			h.MendErr, h.NoDigests = fails, true
			archiveOn(t, h, "archive of i", func(s *Service) {
				if r, err := mends(s.Repair(t.Context(), "app")); err != nil || len(r) != 1 || r[0].Error == "" {
					t.Errorf("%+v, %v", r, err)
				}
				before := historyOf(h)
				done := repairApp(t, h, s)
				if got := strings.TrimPrefix(historyOf(h), before+"\n"); done.Error != "" || !strings.Contains(got, want) {
					t.Errorf("%+v, the second repair did\n%s\nwant\n%s", done, got, want)
				}
				if row := rowOf(s, "app"); row.State != recover.RowUp {
					t.Errorf("app is %s: %s", row.State, row.Error)
				}
			})
		})
	}
}

// If the archive is lost after a cut, and no registry gave the image, that is left to the operator.
func TestRepairAfterArchiveIsLost(t *testing.T) {
	h := brokenHost()
	h.MendErr, h.NoDigests = "load", true
	archiveOn(t, h, "archive of i", func(s *Service) {
		if r, err := mends(s.Repair(t.Context(), "app")); err != nil || len(r) != 1 || r[0].Error == "" {
			t.Errorf("%+v, %v", r, err)
		}
		h.Set(func() { h.Archives = nil })
		done := repairApp(t, h, s)
		if len(done.Steps) > 0 || !strings.Contains(done.Refused, "no registry has it, and it was not kept") {
			t.Errorf("%+v", done)
		}
	})
}

// With a damaged archive the image comes from its registry. Without one nothing is changed.
func TestRepairWithDamagedArchive(t *testing.T) {
	h := brokenHost()
	archiveOn(t, h, "archive of", func(s *Service) {
		done := repairApp(t, h, s)
		want := strings.Replace(comesAgain, "\n", "\ndrop i\n", 1)
		if done.Error != "" || !strings.Contains(historyOf(h), want) || strings.Contains(historyOf(h), "load") {
			t.Errorf("%+v\n%s", done, historyOf(h))
		}
		if len(h.Archives) > 0 {
			t.Error("the damaged archive stays, so that the image is not kept anew")
		}
	})
	h = brokenHost()
	h.NoDigests = true
	archiveOn(t, h, "archive of", func(s *Service) {
		done := repairApp(t, h, s)
		if !strings.Contains(done.Error, "nothing was changed: its archive /archives/i cannot be used") ||
			strings.Contains(historyOf(h), "image i") || len(h.Archives) != 1 {
			t.Errorf("%+v\n%s", done, historyOf(h))
		}
	})
}

// With Repair=image the daemon does the same by itself.
func TestRepairsItselfFromArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := brokenHost()
		h.NoDigests, h.Archives = true, map[string]string{"i": "archive of i"}
		world := worldOf(h)
		world.StorageUnits, world.Mender = recovertest.Storage{H: h}, recovertest.Storage{H: h}
		world.Archives = recovertest.Archives{H: h}
		p := recover.DefaultPolicy()
		p.Repair = recover.RepairImages
		recoverWith(t, world, p, func(*Service) {
			time.Sleep(time.Hour)
			if !strings.Contains(historyOf(h), fromArchive) {
				t.Error(historyOf(h))
			}
		})
	})
}

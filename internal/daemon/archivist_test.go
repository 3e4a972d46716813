package daemon

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// keepingHost runs web and db, each of an image of its own.
func keepingHost() *recovertest.Host {
	h := recovertest.NewHost()
	h.GraphRoot = "/c"
	h.ArchiveRoom, h.ImageSize = 1<<40, 10
	h.Images = map[string]string{"r.io/web:1": "iweb", "r.io/db:1": "idb"}
	for _, name := range []string{"web", "db"} {
		makes(h, name, "r.io/"+name+":1")
	}
	return h
}

// makes has a host run a container of an image.
func makes(h *recovertest.Host, name, image string) {
	h.Sightings[name] = recover.Sighting{ID: "id-" + name + image, State: recover.StateRunning,
		Container: recover.Container{Name: name, Image: image}}
}

// keeping runs a daemon that keeps images, and calls do after READY.
func keeping(t *testing.T, h *recovertest.Host, edit func(*recover.Policy), do func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := recover.DefaultPolicy()
		p.KeepImages = true
		if edit != nil {
			edit(&p)
		}
		world := worldOf(h)
		world.Mender, world.Archives = recovertest.Storage{H: h}, recovertest.Archives{H: h}
		s := New(world, p, recovertest.Here)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Second)
		do()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// archivesOn are the IDs of the images that a host keeps, and how often one was saved.
func archivesOn(h *recovertest.Host) (kept map[string]bool, saves int) {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	kept = map[string]bool{}
	for id := range h.Archives {
		kept[id] = true
	}
	return kept, strings.Count(strings.Join(h.History, "\n"), "save i")
}

// asksForPressure counts how often a host's pressure is asked for. There is none.
func asksForPressure(h *recovertest.Host) *atomic.Int32 {
	var asked atomic.Int32
	h.Stalls = func() (recover.Stalls, error) {
		asked.Add(1)
		return recover.Stalls{}, nil
	}
	return &asked
}

// The images of the set are kept once their containers have lasted, each once. Then nothing is done
// until there is a new container.
func TestImagesAreKept(t *testing.T) {
	h := keepingHost()
	asked := asksForPressure(h)
	keeping(t, h, nil, func() {
		if kept, _ := archivesOn(h); len(kept) > 0 {
			t.Errorf("within the soak %v is kept", kept)
		}
		time.Sleep(time.Minute)
		if kept, saves := archivesOn(h); !kept["iweb"] || !kept["idb"] || saves != 2 {
			t.Errorf("kept %v with %d saves", kept, saves)
		}
		asked.Store(0)
		time.Sleep(48 * time.Hour)
		h.Changes <- struct{}{}
		time.Sleep(48 * time.Hour)
		if _, saves := archivesOn(h); saves != 2 || asked.Load() > 0 {
			t.Errorf("%d saves, and the pressure was asked for %d times while nothing was new", saves, asked.Load())
		}
		h.Set(func() {
			h.Images["r.io/app:1"] = "iapp"
			makes(h, "app", "r.io/app:1")
		})
		h.Changes <- struct{}{}
		time.Sleep(time.Minute)
		if kept, saves := archivesOn(h); !kept["iapp"] || saves != 3 {
			t.Errorf("kept %v with %d saves", kept, saves)
		}
	})
}

// What is off, what does not run, what has no room and what podman cannot save is not kept.
func TestImagesAreNotKept(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*recover.Policy)
		set  func(*recovertest.Host)
		want string
	}{
		"off":       {edit: func(p *recover.Policy) { p.KeepImages = false }},
		"safe mode": {edit: func(p *recover.Policy) { p.Mode = recover.ModeSafe }},
		"it has ended": {set: func(h *recovertest.Host) {
			db := h.Sightings["db"]
			db.State = recover.StateExited
			h.Sightings["db"] = db
		}, want: "iweb"},
		"the disk is full": {set: func(h *recovertest.Host) { h.ArchiveRoom = 29 }, want: "one"},
		"the bound":        {edit: func(p *recover.Policy) { p.KeepImagesMax = 19 }, want: "one"},
		"larger than podman said": {edit: func(p *recover.Policy) { p.KeepImagesMax = 5 },
			set: func(h *recovertest.Host) { h.ImageSize = 1 }},
		"podman cannot save one": {set: func(h *recovertest.Host) { h.MendErr = "save idb" }, want: "iweb"},
		"no containers listed":   {set: func(h *recovertest.Host) { h.PodmanErr = recovertest.ErrBroken }},
	} {
		t.Run(name, func(t *testing.T) {
			h := keepingHost()
			if test.set != nil {
				test.set(h)
			}
			keeping(t, h, test.edit, func() {
				time.Sleep(time.Hour)
				kept, _ := archivesOn(h)
				well := len(kept) == 1 && (kept[test.want] || test.want == "one")
				if test.want == "" {
					well = len(kept) == 0
				}
				if !well {
					t.Errorf("kept %v, want %q\n%s", kept, test.want, historyOf(h))
				}
			})
		})
	}
}

// What fails is tried again later, and less and less often.
func TestKeepingIsTriedAgain(t *testing.T) {
	h := keepingHost()
	h.MendErr = "save idb"
	asked := asksForPressure(h)
	keeping(t, h, nil, func() {
		time.Sleep(30 * time.Minute)
		asked.Store(0)
		time.Sleep(100 * time.Hour)
		// After 1, 3, 7, 15, 31 and 63 h. Each asks for the pressure twice, before it saves.
		if n := asked.Load(); n != 12 {
			t.Errorf("it asked for the pressure %d times", n)
		}
		h.Set(func() { h.MendErr = "" })
		time.Sleep(48 * time.Hour)
		if kept, _ := archivesOn(h); !kept["idb"] {
			t.Errorf("kept %v", kept)
		}
	})
}

// While others wait for memory or the disk nothing is saved, and what is under way pauses.
func TestKeepingGivesWay(t *testing.T) {
	for _, name := range []string{"memory", "io", "the kernel does not tell"} {
		t.Run(name, func(t *testing.T) {
			h := keepingHost()
			var pressed atomic.Bool
			pressed.Store(true)
			h.Stalls = func() (s recover.Stalls, err error) {
				since := time.Duration(time.Now().UnixNano())
				switch {
				case name == "the kernel does not tell":
					return s, errors.New("no file")
				case pressed.Load() && name == "memory":
					s.Memory = since / 5
				case pressed.Load():
					s.IO = since / 2
				}
				return s, nil
			}
			keeping(t, h, nil, func() {
				time.Sleep(3 * time.Hour)
				if _, saves := archivesOn(h); (saves == 0) != (name != "the kernel does not tell") {
					t.Errorf("%d saves under pressure", saves)
				}
				pressed.Store(false)
				time.Sleep(2 * time.Hour)
				if kept, _ := archivesOn(h); len(kept) != 2 {
					t.Errorf("kept %v", kept)
				}
			})
		})
	}
}

// After an update the archive of the last version stays for a roll-back, until podman has that
// version no more. That of a member that is down, and whose image is reserved, stays in any case.
func TestArchivesOfOldImages(t *testing.T) {
	h := keepingHost()
	h.Archives = map[string]string{"iold": "o", "igone": "g", "ireserved": "r"}
	h.Unnamed = []string{"iold"}
	h.Images["r.io/down:1"] = "reserved-down"
	h.Reserved = map[string]recover.Reserved{"reserved-down": {ID: "ireserved"}}
	h.Ran("down").Marker = recovertest.Crashed
	h.Snapshot.Containers[0].Image = "r.io/down:1"
	keeping(t, h, nil, func() {
		time.Sleep(time.Hour)
		if kept, _ := archivesOn(h); len(kept) != 4 || kept["igone"] || !kept["iold"] || !kept["ireserved"] {
			t.Errorf("kept %v", kept)
		}
		h.Set(func() { h.Unnamed = nil; makes(h, "web", "r.io/db:1") })
		h.Changes <- struct{}{}
		time.Sleep(time.Hour)
		if kept, _ := archivesOn(h); kept["iold"] || !kept["iweb"] {
			t.Errorf("kept %v, and podman has the image of web still", kept)
		}
		h.Set(func() { // podman has neither: it does not say what down is of
			delete(h.Images, "r.io/down:1")
			delete(h.Images, "r.io/web:1")
			makes(h, "new", "r.io/db:1")
		})
		h.Changes <- struct{}{}
		time.Sleep(time.Hour)
		if kept, _ := archivesOn(h); !kept["ireserved"] || !kept["iweb"] {
			t.Errorf("kept %v, and it is not known what down needs", kept)
		}
	})
}

package survey

import (
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// What the start of app would start along, where db is stopped on purpose.
func TestTie(t *testing.T) {
	needs := func(along recover.Along) map[string]recover.Along { return map[string]recover.Along{"app": along} }
	db := []string{"db"}
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host)
		want    map[string]recover.Along
	}{
		"nothing": {func(h *recovertest.Host) { h.Quadlet("app").Quadlet("db") }, nil},
		"its unit needs the other's": {func(h *recovertest.Host) {
			h.Quadlet("app").Quadlet("db").Pulls = map[string][]string{"app.service": {"db.service", "net.service"}}
		}, needs(recover.Along{Needed: db, Without: []string{"db.service"}})},
		"its unit wants the other's": {func(h *recovertest.Host) {
			h.Quadlet("app").Quadlet("db").Wants = map[string][]string{"app.service": {"db.service"}}
		}, needs(recover.Along{Wanted: db, Without: []string{"db.service"}})},
		"the other runs": {func(h *recovertest.Host) {
			h.Quadlet("app").Quadlet("db").Pulls = map[string][]string{"app.service": {"db.service"}}
			h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
		}, nil},
		"podman needs the other": {func(h *recovertest.Host) {
			h.Plain("app", "exited").Plain("db", "exited").Dependencies = map[string][]string{"app": {"db"}}
		}, needs(recover.Along{Needed: db})},
		"through a third": {func(h *recovertest.Host) {
			h.Plain("app", "exited").Plain("mid", "exited").Plain("db", "exited")
			h.Dependencies = map[string][]string{"app": {"mid"}, "mid": {"db", "app"}}
		}, needs(recover.Along{Needed: db})},
		"the third runs": {func(h *recovertest.Host) {
			h.Plain("app", "exited").Plain("mid", "running").Plain("db", "exited")
			h.Dependencies = map[string][]string{"app": {"mid"}, "mid": {"db"}}
		}, nil},
		"its unit wants one that podman starts with the other": {func(h *recovertest.Host) {
			h.Quadlet("app").Quadlet("mid").Plain("db", "exited")
			h.Wants = map[string][]string{"app.service": {"mid.service"}}
			h.Units["mid.service"] = recover.ContainerUnit{Unit: "mid.service",
				Container: recover.Container{Name: "mid"}, StartsExisting: true}
			h.Dependencies = map[string][]string{"mid": {"db"}}
		}, needs(recover.Along{Wanted: db, Without: []string{"mid.service"}})},
		"its unit's command line": {func(h *recovertest.Host) {
			h.Quadlet("app").Quadlet("db")
			h.Units["app.service"] = recover.ContainerUnit{Unit: "app.service",
				Container: recover.Container{Name: "app"}, Needs: db}
		}, needs(recover.Along{Needed: db})},
		"a unit that does not show its container": {func(h *recovertest.Host) {
			h.Quadlet("app").Pulls = map[string][]string{"app.service": {"kube.service"}}
			h.Units["kube.service"] = recover.ContainerUnit{Unit: "kube.service"}
			h.Sightings["db"] = recover.Sighting{Container: recover.Container{Name: "db", Unit: "kube.service"}}
		}, needs(recover.Along{Needed: db, Without: []string{"kube.service"}})},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost()
			c.prepare(h)
			set := []recover.Container{{Name: "app"}}
			host := on(h)
			view := host.Look(t.Context(), set)
			var holds recover.Holds
			err := host.Tie(t.Context(), &holds, Starts{
				Resolved: host.Resolve(t.Context(), set, view), View: view, Stopped: []string{"db"},
			})
			if diff := cmp.Diff(c.want, holds.Along); err != nil || len(c.want)+len(holds.Along) > 0 && diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// What is not known is no answer.
func TestTieUnknown(t *testing.T) {
	h := recovertest.NewHost().Plain("app", "exited").Plain("db", "exited")
	set := []recover.Container{{Name: "app"}}
	view := on(h).Look(t.Context(), set)
	resolved := on(h).Resolve(t.Context(), set, view)
	var holds recover.Holds
	if err := on(h).Tie(t.Context(), &holds, Starts{Resolved: resolved, View: view}); err != nil {
		t.Errorf("without anything stopped: %v", err)
	}
	h.PodmanErr = recovertest.ErrBroken
	if on(h).Tie(t.Context(), &holds, Starts{Resolved: resolved, View: view, Stopped: []string{"db"}}) == nil {
		t.Error("podman does not answer, and that is no error")
	}
	h.PodmanErr, h.BusErr = nil, recovertest.ErrBroken
	if on(h).Tie(t.Context(), &holds, Starts{Resolved: resolved, View: view, Stopped: []string{"db"}}) == nil {
		t.Error("systemd does not answer, and that is no error")
	}
}

// Where podman has not listed any, a stopped container may run.
func TestTieAsksWhatRuns(t *testing.T) {
	h := recovertest.NewHost().Plain("app", "exited").Plain("db", "running")
	h.Dependencies = map[string][]string{"app": {"db"}}
	var holds recover.Holds
	err := on(h).Tie(t.Context(), &holds, Starts{
		Resolved: map[string]recover.Resolution{"app": {Unit: "container-app.service", Generated: true}},
		Stopped:  []string{"db"},
	})
	if err != nil || len(holds.Along) > 0 {
		t.Errorf("%+v, %v", holds.Along, err)
	}
}

// The plan shows what would be left alone, and what would start without another, though
// all of them run now.
func TestPreviewNeedsStopped(t *testing.T) {
	h := recovertest.NewHost().Quadlet("app").Quadlet("web").Quadlet("db").Quadlet("bad")
	for _, name := range []string{"app", "web", "db", "bad"} {
		h.States[name+".service"] = recover.UnitState{Loaded: true, Active: "active"}
	}
	h.Pulls = map[string][]string{"app.service": {"db.service"}}
	h.Wants = map[string][]string{"web.service": {"db.service", "bad.service"}}
	got := preview(h, recover.Known{
		UserStopped: []string{"bad", "db"},
		Quarantine:  recover.Quarantine{{Name: "bad", Strikes: 2, Quarantined: true, Listed: true}},
	}, recover.DefaultPolicy(), "app", "web")
	if len(got.NotStarted) != 1 || got.NotStarted[0].State != recover.RowNeedsStopped ||
		got.NotStarted[0].Why != "needs db, which you stopped" {
		t.Errorf("not started %+v", got.NotStarted)
	}
	if len(got.Batches) != 1 || got.Batches[0].Containers[0].Why != "without db, which you stopped" {
		t.Errorf("batches %+v", got.Batches)
	}
}

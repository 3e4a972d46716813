package recover

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What needs a container that the user stopped is left alone, and what only wants it is
// started without it.
func TestPlanNeedsStopped(t *testing.T) {
	var view View
	view.TakeList(Sightings{
		{Container: Container{Name: "app"}, State: StateExited},
		{Container: Container{Name: "on"}, State: StateRunning},
	}, nil)
	set, resolved := []Container{}, map[string]Resolution{}
	for _, name := range []string{"app", "on", "bad", "web", "stopped", "free"} {
		set = append(set, Container{Name: name})
		resolved[name] = Resolution{Unit: name + ".service"}
	}
	needed := Along{Needed: []string{"db"}, Wanted: []string{"cache"}, Without: []string{"db.service"}}
	holds := Holds{
		UserStopped: []string{"db", "cache", "stopped"},
		Quarantine:  Quarantine{{Name: "bad", Strikes: 2, Quarantined: true}, {Name: "app", Strikes: 1}},
		Along: map[string]Along{
			"app": needed, "on": needed, "bad": needed, "stopped": needed,
			"web": {Wanted: []string{"cache"}, Without: []string{"cache.service"}},
		},
	}
	type outcome struct {
		State   RowState
		Alone   bool
		Stopped []string
		Without []string
	}
	got, why := map[string]outcome{}, map[string]string{}
	for _, row := range MakePlan(set, holds, view, resolved, DefaultPolicy()) {
		got[row.Name] = outcome{row.State, row.Alone, row.Stopped, row.Without}
		why[row.Name] = row.Error + row.WithoutStopped()
	}
	want := map[string]outcome{
		"app":     {State: RowNeedsStopped, Stopped: []string{"db"}},
		"on":      {State: RowActive},
		"bad":     {State: RowQuarantined},
		"web":     {State: RowQueued, Stopped: []string{"cache"}, Without: []string{"cache.service"}},
		"stopped": {State: RowUserStopped},
		"free":    {State: RowQueued},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if why["app"] != "needs db, which you stopped" || why["web"] != "without cache, which you stopped" ||
		why["free"] != "" {
		t.Errorf("%q", why)
	}
}

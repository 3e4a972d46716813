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
		"app":     {State: RowNeedsStopped, Alone: true, Stopped: []string{"db"}}, // should it start after READY
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

// What needs a container that is stopped and in quarantine is in quarantine with it: it does not
// start that one along after READY, once the user has taken it off the list. Suspects that may
// start then take no place in the groups of this recovery.
func TestPlanNeedsStoppedAndSuspected(t *testing.T) {
	set, resolved := []Container{}, map[string]Resolution{}
	for _, name := range []string{"app", "one", "two", "web"} {
		set = append(set, Container{Name: name, Unit: name + ".service"})
		resolved[name] = Resolution{Unit: name + ".service"}
	}
	set = append(set, Container{Name: "db", Unit: "db.service"})
	resolved["db"] = Resolution{Unit: "db.service"}
	needs := Along{Needed: []string{"db"}, Without: []string{"db.service"}}
	holds := Holds{
		UserStopped: []string{"db"},
		Quarantine: Quarantine{{Name: "db", Strikes: 3, Quarantined: true}, {Name: "one", Strikes: 2, Case: "b"},
			{Name: "two", Strikes: 2, Case: "b"}},
		Pulls: map[string][]string{"app.service": {"db.service"}},
		Along: map[string]Along{"app": needs, "one": {Needed: []string{"mq"}}},
	}
	for _, row := range MakePlan(set, holds, View{}, resolved, DefaultPolicy()) {
		want := map[string]Row{
			"app": {State: RowQuarantined, Error: "needs db, which is quarantined"},
			"db":  {State: RowQuarantined}, "web": {State: RowQueued},
			"one": {State: RowNeedsStopped, Alone: true, Group: 1},
			"two": {State: RowQueued, Alone: true, Group: 1},
		}[row.Name]
		if row.State != want.State || want.Error != "" && row.Error != want.Error || row.Alone != want.Alone ||
			row.Group != want.Group {
			t.Errorf("%s: %+v", row.Name, row)
		}
	}
}

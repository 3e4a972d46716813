package recover

import (
	"slices"
	"strings"
	"testing"
)

func TestNextSet(t *testing.T) {
	last := []Container{{Name: "q", Unit: "q.service"}, {Name: "p"}}
	unit := func(active string) map[string]UnitState {
		return map[string]UnitState{"q.service": {Loaded: true, Active: active}}
	}
	exited := func(code int) []Sighting {
		return []Sighting{{Container: Container{Name: "p"}, State: "exited", ExitCode: code}}
	}
	job := func(active, job string) map[string]UnitState {
		return map[string]UnitState{"q.service": {Loaded: true, Active: active, Job: job}}
	}
	stopped := exited(137)
	stopped[0].StoppedByUser = true
	for name, c := range map[string]struct {
		sightings   []Sighting
		units       map[string]UnitState
		userStopped []string
		want        string
	}{
		"a running one joins": {
			[]Sighting{{Container: Container{Name: "new"}, State: "running"}}, nil, nil, "new",
		},
		"an infra container does not": {
			[]Sighting{{Container: Container{Name: "i"}, State: "running", Infra: true}}, nil, nil, "",
		},
		"one whose unit failed stays":                        {nil, unit("failed"), nil, "q"},
		"one that waits for its restart stays":               {nil, unit("activating"), nil, "q"},
		"one whose unit was stopped leaves":                  {nil, unit("inactive"), nil, ""},
		"one on its way down stays until it is down":         {nil, job("deactivating", "stop"), nil, "q"},
		"one that is restarted stays":                        {nil, job("inactive", "restart"), nil, "q"},
		"one that is being started stays":                    {nil, job("inactive", "start"), nil, "q"},
		"a failed one that the user stopped leaves":          {nil, unit("failed"), []string{"q"}, ""},
		"one without a unit that failed stays":               {exited(1), nil, nil, "p"},
		"one without a unit that ended well leaves":          {exited(0), nil, nil, ""},
		"one without a unit that was killed, stays":          {exited(137), nil, nil, "p"},
		"one without a unit that was killed by stop, leaves": {stopped, nil, nil, ""},
		"one without a unit that is being stopped stays": {
			[]Sighting{{Container: Container{Name: "p"}, State: "stopping"}}, nil, nil, "p",
		},
		"one that podman does not know any more leaves": {nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			next := NextSet(last, c.sightings, c.units, c.userStopped)
			if got := strings.Join(names(next), " "); got != c.want {
				t.Errorf("the set is %q, want %q", got, c.want)
			}
		})
	}
}

// names are the sorted names of containers.
func names(cs []Container) []string {
	var ns []string
	for _, c := range cs {
		ns = append(ns, c.Name)
	}
	slices.Sort(ns)
	return ns
}

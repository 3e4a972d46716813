package survey

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// on is a make-believe host as a survey sees it.
func on(h *recovertest.Host) Host {
	return Host{Podman: recovertest.Podman{H: h}, Systemd: recovertest.Systemd{H: h}}
}

// preview is what a host with the set a, b, … would bring back.
func preview(h *recovertest.Host, k recover.Known, p recover.Policy, names ...string) recover.Preview {
	for _, name := range names {
		k.Set = append(k.Set, recover.Container{Name: name})
	}
	return on(h).Preview(context.Background(), k, p)
}

// All that runs now is taken for dead, and nothing is changed on the host.
func TestPreviewAsIfNothingRan(t *testing.T) {
	h := recovertest.NewHost().Quadlet("db").Plain("web", "running").Quadlet("app")
	h.States["db.service"] = recover.UnitState{Loaded: true, Active: "active"}
	h.Sightings["db"] = recover.Sighting{Container: recover.Container{Name: "db", Unit: "db.service"}, State: "running"}
	p := recover.DefaultPolicy()
	p.Tiers[0] = recover.Patterns{"db"}
	got := preview(h, recover.Known{
		UserStopped: []string{"app"},
		History:     []recover.Report{took(recover.RowUp, map[string]int{"db": 2000})},
	}, p, "db", "web", "app", "gone")
	seconds := 2.0
	want := recover.Preview{
		Batches: []recover.Batch{
			{Tier: 0, ExpectedSeconds: 2, Slowest: "db", Containers: []recover.Planned{
				{Name: "db", Unit: "db.service", State: recover.RowQueued, ExpectedSeconds: &seconds, EarlierStarts: 1}}},
			{Tier: 3, Unknown: 1, Containers: []recover.Planned{
				{Name: "web", Tier: 3, Unit: "container-web.service", Generated: true, State: recover.RowQueued}}},
		},
		NotStarted: []recover.Planned{
			{Name: "app", Tier: 3, Unit: "app.service", State: recover.RowUserStopped, Why: "on the user-stopped list"},
			{Name: "gone", Tier: 3, State: recover.RowMissing, Why: "podman does not know it and no unit runs it"},
		},
		ExpectedSeconds: 2, Unknown: 1,
		CriticalPath: []recover.Step{{Tier: 0, Name: "db", Seconds: 2}},
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Batches.took" },
		cmp.Ignore())); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	if len(h.History) > 0 {
		t.Errorf("the host was changed: %q", h.History)
	}
	if h.Sightings["web"].State != "running" {
		t.Error("what the host lists was changed")
	}
}

func TestPreviewOfSuspects(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("bad").Quadlet("odd")
	p := recover.DefaultPolicy()
	got := preview(h, recover.Known{
		Quarantine: recover.Quarantine{{Name: "bad", Strikes: 2, Quarantined: true}, {Name: "odd", Strikes: 1}},
		History:    []recover.Report{took(recover.RowUp, map[string]int{"a": 1000, "b": 3000, "odd": 2000})},
	}, p, "a", "b", "bad", "odd")
	if len(got.Batches) != 2 || !got.Batches[1].Alone || got.Batches[1].Containers[0].Name != "odd" {
		t.Fatalf("batches %+v", got.Batches)
	}
	if len(got.NotStarted) != 1 || got.NotStarted[0].State != recover.RowQuarantined {
		t.Errorf("not started %+v", got.NotStarted)
	}
	if want := 3.0 + 2; got.ExpectedSeconds != want || len(got.CriticalPath) != 2 {
		t.Errorf("it takes %vs by %v, want %vs", got.ExpectedSeconds, got.CriticalPath, want)
	}
}

func TestPreviewNotes(t *testing.T) {
	h := recovertest.NewHost().Plain("web", "running")
	h.PodmanErr, h.BusErr = errors.New("podman is ill"), errors.New("no bus")
	p := recover.DefaultPolicy()
	p.Mode = recover.ModeOff
	got := preview(h, recover.Known{UserStoppedLost: true}, p, "web")
	notes := strings.Join(got.Notes, "\n")
	for _, want := range []string{"podman is ill", "no bus", "archy.recovery=off"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in the notes %q", want, notes)
		}
	}
	if len(got.Batches) > 0 || len(got.NotStarted) != 1 {
		t.Errorf("preview %+v", got)
	}
}

// What is on the user-stopped list is not even in the plan.
func TestPlanUserStopped(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b")
	view := on(h).Look(t.Context(), nil)
	resolved := on(h).Resolve(t.Context(), view.Existing(), view)
	rows := recover.MakePlan(view.Existing(), recover.Holds{UserStopped: []string{"b"}}, view, resolved,
		recover.DefaultPolicy())
	states := map[string]recover.RowState{}
	for _, row := range rows {
		states[row.Name] = row.State
	}
	if diff := cmp.Diff(map[string]recover.RowState{"a": recover.RowQueued, "b": recover.RowUserStopped},
		states); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
}

// took is a report in which each container took so many milliseconds.
func took(state recover.RowState, ms map[string]int) recover.Report {
	var r recover.Report
	begin := time.Unix(1000, 0)
	for name, n := range ms {
		r.Rows = append(r.Rows, recover.Row{Name: name, State: state,
			Attempts: []recover.Attempt{{Started: begin, Ended: begin.Add(time.Duration(n) * time.Millisecond)}}})
	}
	return r
}

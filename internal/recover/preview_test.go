package recover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// preview is what a host with the set a, b, … would bring back.
func preview(h *host, k Known, p Policy, names ...string) Preview {
	for _, name := range names {
		k.Set = append(k.Set, Container{Name: name})
	}
	return k.Preview(context.Background(), h, h, p)
}

// All that runs now is taken for dead, and nothing is changed on the host.
func TestPreviewAsIfNothingRan(t *testing.T) {
	h := newHost(t).quadlet("db").plain("web", "running").quadlet("app")
	h.states["db.service"] = UnitState{Loaded: true, Active: "active"}
	h.sightings["db"] = Sighting{Container: Container{Name: "db", Unit: "db.service"}, State: "running"}
	p := DefaultPolicy()
	p.Tiers[0] = Patterns{"db"}
	got := preview(h, Known{
		UserStopped: []string{"app"},
		History:     []Report{took(RowUp, map[string]int{"db": 2000})},
	}, p, "db", "web", "app", "gone")
	seconds := 2.0
	want := Preview{
		Batches: []Batch{
			{Tier: 0, ExpectedSeconds: 2, Slowest: "db", Containers: []Planned{
				{Name: "db", Unit: "db.service", State: RowQueued, ExpectedSeconds: &seconds, EarlierStarts: 1}}},
			{Tier: 3, Unknown: 1, Containers: []Planned{
				{Name: "web", Tier: 3, Unit: "container-web.service", Generated: true, State: RowQueued}}},
		},
		NotStarted: []Planned{
			{Name: "app", Tier: 3, Unit: "app.service", State: RowUserStopped, Why: "on the user-stopped list"},
			{Name: "gone", Tier: 3, State: RowMissing, Why: "podman does not know it and no unit runs it"},
		},
		ExpectedSeconds: 2, Unknown: 1,
		CriticalPath: []Step{{Tier: 0, Name: "db", Seconds: 2}},
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Batches.took" }, cmp.Ignore())); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	if len(h.history) > 0 {
		t.Errorf("the host was changed: %q", h.history)
	}
	if h.sightings["web"].State != "running" {
		t.Error("what the host lists was changed")
	}
}

func TestPreviewOfSuspects(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b").quadlet("bad").quadlet("odd")
	p := DefaultPolicy()
	got := preview(h, Known{
		Quarantine: Quarantine{{Name: "bad", Strikes: 2, Quarantined: true}, {Name: "odd", Strikes: 1}},
		History:    []Report{took(RowUp, map[string]int{"a": 1000, "b": 3000, "odd": 2000})},
	}, p, "a", "b", "bad", "odd")
	if len(got.Batches) != 2 || !got.Batches[1].Alone || got.Batches[1].Containers[0].Name != "odd" {
		t.Fatalf("batches %+v", got.Batches)
	}
	if len(got.NotStarted) != 1 || got.NotStarted[0].State != RowQuarantined {
		t.Errorf("not started %+v", got.NotStarted)
	}
	if want := 3 + 2 + p.Probation.Seconds(); got.ExpectedSeconds != want || len(got.CriticalPath) != 2 {
		t.Errorf("it takes %vs by %v, want %vs", got.ExpectedSeconds, got.CriticalPath, want)
	}
}

// A tier holds up the next one no longer than its deadline, but READY waits
// for all of it.
func TestCriticalPath(t *testing.T) {
	p := DefaultPolicy()
	p.TierDeadline = 10 * time.Second
	batch := func(tier, seconds int, slowest string) Batch {
		return Batch{Tier: tier, Slowest: slowest, took: time.Duration(seconds) * time.Second}
	}
	for name, c := range map[string]struct {
		batches []Batch
		want    []Step
		took    int
	}{
		"nothing":            {nil, []Step{}, 0},
		"nothing is known":   {[]Batch{batch(0, 0, "")}, []Step{}, 0},
		"one after another":  {[]Batch{batch(0, 2, "a"), batch(1, 3, "b")}, []Step{{0, false, "a", 2}, {1, false, "b", 3}}, 5},
		"a slow one is last": {[]Batch{batch(0, 100, "a"), batch(1, 3, "b")}, []Step{{0, false, "a", 100}}, 100},
		"a slow one is not":  {[]Batch{batch(0, 12, "a"), batch(1, 3, "b")}, []Step{{0, false, "a", 10}, {1, false, "b", 3}}, 13},
		"a tier not known":   {[]Batch{batch(0, 2, "a"), batch(1, 0, ""), batch(2, 3, "c")}, []Step{{0, false, "a", 2}, {2, false, "c", 3}}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			path, took := criticalPath(c.batches, p)
			if diff := cmp.Diff(c.want, path); diff != "" || took != time.Duration(c.took)*time.Second {
				t.Errorf("it takes %s:\n%s", took, diff)
			}
		})
	}
}

func TestPreviewSaysWhatItDoesNotKnow(t *testing.T) {
	h := newHost(t).plain("web", "running")
	h.podmanErr, h.busErr = errors.New("podman is ill"), errors.New("no bus")
	p := DefaultPolicy()
	p.Mode = ModeOff
	got := preview(h, Known{UserStoppedLost: true}, p, "web")
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

package daemon

import (
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// TestOrderOfUnits: containers start in the order of their units, also against their tiers,
// and a cycle is told and ignored.
func TestOrderOfUnits(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Quadlet("x").Quadlet("y").
		Ran("a", "b", "c", "x", "y")
	h.Marker = recovertest.Crashed
	h.After = map[string][]string{"a.service": {"b.service"}, "b.service": {"c.service"},
		"x.service": {"y.service"}, "y.service": {"x.service"}}
	p := recover.DefaultPolicy()
	p.Tiers = map[int]recover.Patterns{0: {"a"}, 1: {"b"}, 2: {"c"}}
	history, report, err := live(t, h, p)
	if err != nil {
		t.Fatal(err)
	}
	starts := slices.DeleteFunc(started(history), func(s string) bool { return s == "x" || s == "y" })
	if !slices.Equal(starts, []string{"c", "b", "a"}) {
		t.Errorf("started %q", starts)
	}
	for name, state := range states(report) {
		if state != recover.RowUp {
			t.Errorf("%s is %s", name, state)
		}
	}
	cycles := 0
	for _, note := range report.Notes {
		if strings.Contains(note, "x, y need each other in a circle") {
			cycles++
		}
	}
	if cycles != 1 {
		t.Errorf("notes %q", report.Notes)
	}
}

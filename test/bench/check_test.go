package main

import (
	"strings"
	"testing"
)

func TestWorse(t *testing.T) {
	t.Parallel()
	ratios, seconds := []float64{0.9, 1, 1.1}, []float64{1, 2, 3}
	before := []Result{{Row: "r", Claims: []Claim{
		{What: "most", Target: "≤ 1.05", Figures: ratios, Met: true},
		{What: "least", Target: "≥ 0.95", Figures: ratios, Met: true},
		{What: "time", Target: "≤ 2 s", Figures: seconds, Unit: "s", Met: true},
		{What: "missed", Target: "≤ 1 s", Figures: seconds, Unit: "s"},
	}}}
	for name, c := range map[string]struct {
		claim Claim
		want  bool
	}{
		"ratio within the spread":    {Claim{What: "most", Target: "≤ 1.05", Figures: []float64{1.1}}, false},
		"ratio above it":             {Claim{What: "most", Target: "≤ 1.05", Figures: []float64{1, 1.2, 1.2}}, true},
		"ratio that is better":       {Claim{What: "most", Target: "≤ 1.05", Figures: []float64{0.5}, Met: true}, false},
		"ratio that should be large": {Claim{What: "least", Target: "≥ 0.95", Figures: []float64{0.8}}, true},
		"large one that is better":   {Claim{What: "least", Target: "≥ 0.95", Figures: []float64{2}, Met: true}, false},
		"time within its target": {
			Claim{What: "time", Target: "≤ 2 s", Figures: []float64{1.9}, Unit: "s", Met: true}, false},
		"time that misses it":           {Claim{What: "time", Target: "≤ 2 s", Figures: []float64{2.1}, Unit: "s"}, true},
		"time that missed it before":    {Claim{What: "missed", Target: "≤ 1 s", Figures: []float64{9}, Unit: "s"}, false},
		"claim that is not on the page": {Claim{What: "new", Target: "≤ 1", Figures: []float64{9}}, false},
	} {
		got := worse(before, Result{Row: "r", Claims: []Claim{c.claim}})
		if (len(got) > 0) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := worse(before, Result{Row: "other", Claims: before[0].Claims}); got != nil {
		t.Errorf("a row that is not on the page: %q", got)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	series := func(name string, figure float64) Series { return Series{name, "s", []float64{figure}, true} }
	got := summary([]Result{
		{Title: "Two fleets", Series: []Series{
			series("archy-recovery, small ones", 1), series("Docker, small ones", 2),
			series("archy-recovery with more, small ones", 3),
			{Name: "not drawn", Unit: "s", Figures: []float64{4}}, series("archy-recovery, large ones", 5), series("systemd", 6),
		}},
		{Title: "Without others", Series: []Series{series("archy-recovery, READY", 7)}},
	})
	want := "| Two fleets: small ones | **1.00 s** | Docker 2.00 s |\n" +
		"| Two fleets: large ones | **5.00 s** | systemd 6.00 s |\n"
	if !strings.HasSuffix(got, "|---|---|---|\n"+want) {
		t.Errorf("%s", got)
	}
}

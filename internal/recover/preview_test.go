package recover

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
		"nothing":          {nil, []Step{}, 0},
		"nothing is known": {[]Batch{batch(0, 0, "")}, []Step{}, 0},
		"one after another": {
			[]Batch{batch(0, 2, "a"), batch(1, 3, "b")}, []Step{{0, false, "a", 2}, {1, false, "b", 3}}, 5,
		},
		"a slow one is last": {[]Batch{batch(0, 100, "a"), batch(1, 3, "b")}, []Step{{0, false, "a", 100}}, 100},
		"a slow one is not": {
			[]Batch{batch(0, 12, "a"), batch(1, 3, "b")}, []Step{{0, false, "a", 10}, {1, false, "b", 3}}, 13,
		},
		"a tier not known": {
			[]Batch{batch(0, 2, "a"), batch(1, 0, ""), batch(2, 3, "c")}, []Step{{0, false, "a", 2}, {2, false, "c", 3}}, 5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, took := criticalPath(c.batches, p)
			if diff := cmp.Diff(c.want, path); diff != "" || took != time.Duration(c.took)*time.Second {
				t.Errorf("it takes %s:\n%s", took, diff)
			}
		})
	}
}

package engine

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Start["a.service"] = recovertest.UpAfter(time.Second)
		h.Start["b.service"] = recovertest.WorksAt(2)
		rs := recovertest.Rows("a:0 b:0 c:0 d:1")
		var lines []string
		count := recover.ProgressOf(rs)
		tell := func(e Event) {
			if e.Row.Name != "" {
				count.Add(rs[e.Index], -1)
				count.Add(e.Row, 1)
				rs[e.Index] = e.Row
			}
			if anew := recover.ProgressOf(rs); count != anew {
				t.Fatalf("counted %+v, anew %+v", count, anew)
			}
			if line := count.Line(); len(lines) == 0 || lines[len(lines)-1] != line {
				lines = append(lines, line)
			}
		}
		p := oncePolicy()
		run := New(rs, p, unitStarter{h}, NewFlight(func([]string) error { return nil }, func(string) {}),
			recovertest.Gauge{H: h}, tell)
		if err := run.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"tier 0: 0 of 3 started", "tier 0: 2 of 3 started, 1 failing",
			"tier 1: 1 of 1 started, 1 failing", "tier 1: 1 of 1 started",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("never said %q, but %q", want, lines)
			}
		}
	})
}

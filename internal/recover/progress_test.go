package recover

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.start["a.service"] = upAfter(time.Second)
		h.start["b.service"] = worksAt(2)
		rs := rows("a:0 b:0 c:0 d:1")
		var lines []string
		count := tallyOf(rs)
		tell := func(e Event) {
			if e.Row.Name != "" {
				count.add(rs[e.Index], -1)
				count.add(e.Row, 1)
				rs[e.Index] = e.Row
			}
			if anew := tallyOf(rs); count != anew {
				t.Fatalf("counted %+v, anew %+v", count, anew)
			}
			if line := count.line(); len(lines) == 0 || lines[len(lines)-1] != line {
				lines = append(lines, line)
			}
		}
		p := DefaultPolicy()
		run := NewRun(rs, p, starter{h.service(p)}, newFlight(func([]string) error { return nil }, func(string) {}), h, tell)
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

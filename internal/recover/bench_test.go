package recover_test

import (
	"fmt"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// fleetOf is so many containers in five tiers, with what is known of each.
func fleetOf(n int) (set []recover.Container, view recover.View, resolved map[string]recover.Resolution) {
	resolved = map[string]recover.Resolution{}
	for i := range n {
		tier := i % 5
		c := recover.Container{Name: fmt.Sprintf("app%04d", i), Image: "localhost/app:1",
			Unit: fmt.Sprintf("app%04d.service", i), Tier: &tier}
		set = append(set, c)
		resolved[c.Name] = recover.Resolution{Unit: c.Unit}
	}
	return set, view, resolved
}

func BenchmarkPlan1000(b *testing.B) {
	set, view, resolved := fleetOf(1000)
	p := recover.DefaultPolicy()
	b.ReportAllocs()
	for b.Loop() {
		if rows := recover.MakePlan(set, recover.Holds{}, view, resolved, p); len(rows) != len(set) {
			b.Fatalf("%d rows", len(rows))
		}
	}
}

// A hundred thousand entries, as a container that fails and is restarted again
// and again leaves them.
func BenchmarkReplay100000(b *testing.B) {
	set, _, _ := fleetOf(1000)
	var lines strings.Builder
	for i := range 25_000 {
		c := set[i%len(set)]
		fmt.Fprintf(&lines, "died %[1]s 1\nfailed %[2]s\nstart %[1]s %[2]s\nstarted %[2]s\n", c.Name, c.Unit)
	}
	events := recovertest.Story(lines.String())
	b.ReportAllocs()
	for b.Loop() {
		if after := recover.Replay(set, events); len(after) != len(set) {
			b.Fatalf("%d containers", len(after))
		}
	}
}

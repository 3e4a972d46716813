package units

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What directOrder calls direct is what a walk through all that the starts can reach gives, for graphs
// with cycles, jobs, aliases, and units of every state.
func TestDirectOrderIsWhole(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	l, err := m.connect(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	const seed = 5
	rnd := rand.New(rand.NewPCG(seed, seed))
	direct, whole := 0, 0
	for graphs := range 150 {
		units := randomUnits(f, rnd)
		order, indirect, err := l.directOrder(soon(t), units)
		if err != nil {
			t.Fatal(err)
		}
		g := graph{link: l, nodes: map[string]node{}}
		if err := g.readFrom(soon(t), units); err != nil {
			t.Fatal(err)
		}
		want := g.order(units)
		maps.DeleteFunc(want, func(_ string, others []string) bool { return len(others) == 0 })
		switch diff := cmp.Diff(want, order); {
		case indirect:
			whole++
		case diff != "":
			t.Errorf("graph %d of %q (-want +got):\n%s", graphs, units, diff)
		case len(order) > 0:
			direct++
		}
	}
	if direct < 20 || whole < 20 {
		t.Errorf("%d graphs have a direct order and %d another: the test compares too few", direct, whole)
	}
}

// randomUnits replaces all units by random ones, and returns those to order.
func randomUnits(f *fakeSystemd, rnd *rand.Rand) (units []string) {
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	var names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("u%d", i)+pick(".service", ".service", ".target", ".mount", ".socket"))
	}
	names = append(names, "own.service") // which has an alias
	density := 4 + rnd.IntN(20)
	some := func() (others []string) {
		for _, other := range append(names, "alias.service", "gone.service") {
			if rnd.IntN(density) == 0 {
				others = append(others, other)
			}
		}
		return others
	}
	f.change(func() {
		clear(f.units)
		clear(f.jobs)
		f.aliases = map[string]string{"alias.service": "own.service"}
		for _, name := range names {
			props := map[string]any{}
			for _, property := range []string{"After", "Requires", "BindsTo", "Requisite", "Wants", "Upholds"} {
				props["Unit."+property] = some()
			}
			f.units[name] = &fakeUnit{pick("loaded", "loaded", "loaded", "masked"),
				pick("inactive", "inactive", "failed", "active", "activating", "deactivating"), "", props}
			f.jobs[name] = pick("", "", "start", "stop")
		}
	})
	for _, name := range append(names, "alias.service", "gone.service") {
		if checkUnit(name) == nil && rnd.IntN(2) == 0 {
			units = append(units, name)
		}
	}
	rnd.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	return slices.Clip(units)
}

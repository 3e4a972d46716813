package units

import (
	"context"
	"slices"
)

// Order maps each of the units to the others among them that it is ordered after: directly
// (After=), or through units that are down and that the start of one of them starts along.
func (m *Manager) Order(ctx context.Context, units []string) (map[string][]string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	units = slices.DeleteFunc(slices.Clone(units), func(unit string) bool { return checkUnit(unit) != nil })
	order, indirect, err := l.directOrder(ctx, units)
	if err != nil || !indirect {
		return order, err
	}
	g := graph{link: l, nodes: map[string]node{}}
	if err := g.readFrom(ctx, units); err != nil {
		return nil, err
	}
	return g.order(units), nil
}

// directOrder is the order of the units by their own After=. indirect reports whether another unit that is
// down may add to it: one of them is ordered after it, and it after one of them. That is rare, and most of
// what Order would read for it is not needed otherwise: a boot waits for this.
func (l *link) directOrder(ctx context.Context, units []string) (order map[string][]string, indirect bool, err error) {
	order = map[string][]string{}
	among, seen := setOf(units), setOf(units)
	for todo, own := units, true; len(todo) > 0; own = false {
		after, err := l.after(ctx, todo)
		if err != nil {
			return nil, false, err
		}
		var others []string
		for _, unit := range todo {
			for _, other := range after[unit] {
				switch {
				case among[other]:
					if !own {
						return nil, true, nil
					}
					if other != unit {
						order[unit] = append(order[unit], other)
					}
				case !seen[other] && mayStart(other):
					seen[other] = true
					others = append(others, other)
				}
			}
			slices.Sort(order[unit])
		}
		if todo, err = l.down(ctx, others); err != nil {
			return nil, false, err
		}
	}
	return order, false, nil
}

// after reads what each of the units is ordered after (Unit.After).
func (l *link) after(ctx context.Context, units []string) (map[string][]string, error) {
	var asked []property
	for _, unit := range units {
		asked = append(asked, property{pathOf(unit), unitIfc, "After"})
	}
	after := map[string][]string{}
	for i, a := range l.getAll(ctx, asked) {
		if err := lost(ctx, l, a.err); err != nil {
			return nil, err
		}
		after[units[i]], _ = a.value.Value().([]string)
	}
	return after, nil
}

// down lists those of the units whose start would start something.
func (l *link) down(ctx context.Context, units []string) (down []string, err error) {
	if len(units) == 0 {
		return nil, nil
	}
	listed, err := l.listByNames(ctx, units)
	for i, u := range listed {
		if u.isDown() {
			down = append(down, units[i])
		}
	}
	return down, err
}

// order is Order for units that the graph was read from.
func (g *graph) order(units []string) map[string][]string {
	order, among := map[string][]string{}, setOf(units)
	for _, unit := range units {
		seen := map[string]bool{unit: true}
		for todo := []string{unit}; len(todo) > 0; todo = todo[1:] {
			for _, other := range g.nodes[todo[0]].after {
				n, known := g.nodes[other]
				if !known || seen[other] {
					continue
				}
				seen[other] = true
				if among[other] {
					order[unit] = append(order[unit], other)
				} else if g.isDown(n) {
					todo = append(todo, other)
				}
			}
		}
		slices.Sort(order[unit])
	}
	return order
}

func setOf(units []string) map[string]bool {
	set := make(map[string]bool, len(units))
	for _, unit := range units {
		set[unit] = true
	}
	return set
}

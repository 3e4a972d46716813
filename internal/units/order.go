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
	g := graph{link: l, nodes: map[string]node{}}
	if err := g.readFrom(ctx, units); err != nil {
		return nil, err
	}
	order := map[string][]string{}
	for _, unit := range units {
		seen := map[string]bool{unit: true}
		for todo := []string{unit}; len(todo) > 0; todo = todo[1:] {
			for _, other := range g.nodes[todo[0]].after {
				n, known := g.nodes[other]
				if !known || seen[other] {
					continue
				}
				seen[other] = true
				if slices.Contains(units, other) {
					order[unit] = append(order[unit], other)
				} else if g.isDown(n) {
					todo = append(todo, other)
				}
			}
		}
		slices.Sort(order[unit])
	}
	return order, nil
}

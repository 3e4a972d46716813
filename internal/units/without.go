package units

import (
	"context"
	"errors"
	"slices"

	"archy-recovery/internal/recover"
)

// A partialStart starts a unit and leaves others out. First it starts what the unit requires or wants, as
// systemd would do, but for those others and for what would start them along. Then it starts the unit with
// the job mode ignore-requirements, in which systemd starts nothing along. In that mode systemd does not heed
// Conflicts= either.
type partialStart struct {
	manager *Manager
	graph   graph
	without []string
	begun   map[string]bool // the units whose start has begun
}

// startWithout is Manager.Start with units to leave out.
func startWithout(ctx context.Context, m *Manager, l *link, unit string, without []string) (recover.Outcome, error) {
	p := partialStart{m, graph{link: l, nodes: map[string]node{}}, without, map[string]bool{}}
	if err := p.graph.readFrom(ctx, []string{unit}); err != nil {
		return recover.Outcome{}, err
	}
	return p.start(ctx, unit)
}

// start starts a unit after the others that it requires or wants.
func (p *partialStart) start(ctx context.Context, unit string) (recover.Outcome, error) {
	p.begun[unit] = true
	n, l := p.graph.nodes[unit], p.graph.link
	var missing, later []string
	for _, other := range p.inOrder(slices.Concat(n.startsAlong(), n.requisite)) {
		o, needed := p.graph.nodes[other], slices.Contains(n.goesWith(), other)
		waits := needed || slices.Contains(n.after, other)
		switch {
		case p.begun[other], o.Load == "loaded" && o.Active != "activating" && !p.graph.isDown(o):
		case o.Load != "loaded" || p.bars(other) || !slices.Contains(n.startsAlong(), other):
			if needed {
				missing = append(missing, other)
			}
		case !needed && slices.Contains(o.after, unit):
			later = append(later, other)
		case !waits:
			p.enqueue(ctx, other)
		default:
			done, err := p.startOther(ctx, other)
			switch {
			case errors.Is(err, recover.ErrGoingDown), errors.Is(err, recover.ErrNoBus), ctx.Err() != nil:
				return recover.Outcome{}, err
			case !done && needed:
				missing = append(missing, other)
			}
		}
	}
	switch down, err := l.stopping(ctx); {
	case err != nil:
		return recover.Outcome{}, err
	case down: // in that mode systemd would not refuse
		return recover.Outcome{}, recover.ErrGoingDown
	}
	if len(missing) > 0 {
		_, mounts := l.blockers(ctx, n.Path)
		state := recover.UnitState{Loaded: true, Active: n.Active, Sub: n.Sub}
		return recover.Outcome{Job: "dependency", UnitState: state, Blockers: missing, NotMounted: mounts}, nil
	}
	o, err := p.manager.startAs(ctx, l, unit, "ignore-requirements")
	for _, other := range later {
		p.enqueue(ctx, other)
	}
	return o, err
}

// inOrder sorts units so that each comes behind those that it is ordered after.
func (p *partialStart) inOrder(units []string) (sorted []string) {
	rest := slices.Compact(slices.Sorted(slices.Values(units)))
	for len(rest) > 0 {
		first := max(0, slices.IndexFunc(rest, func(unit string) bool { // 0: they wait for each other
			after := p.graph.nodes[unit].after
			return !slices.ContainsFunc(rest, func(other string) bool { return slices.Contains(after, other) })
		}))
		sorted = append(sorted, rest[first])
		rest = slices.Delete(rest, first, first+1)
	}
	return sorted
}

// bars reports whether a unit is to be left out, or does not go without one that is.
func (p *partialStart) bars(unit string) bool {
	return slices.ContainsFunc(append(p.graph.reach(unit, node.goesWith), unit), p.isLeftOut)
}

func (p *partialStart) isLeftOut(unit string) bool { return slices.Contains(p.without, unit) }

// isClean reports whether systemd can start a unit with all that it starts along.
func (p *partialStart) isClean(unit string) bool {
	return !slices.ContainsFunc(p.graph.reach(unit, node.startsAlong), p.isLeftOut)
}

// startOther starts a unit and waits for its job. done says that the job has ended well, or that it waits for
// this service.
func (p *partialStart) startOther(ctx context.Context, unit string) (done bool, err error) {
	var o recover.Outcome
	if p.isClean(unit) {
		o, err = p.manager.startAs(ctx, p.graph.link, unit, "replace")
	} else {
		o, err = p.start(ctx, unit)
	}
	if errors.Is(err, recover.ErrOrderedAfterUs) {
		return true, nil // so is the unit that needs it, or it need not wait
	}
	return err == nil && (o.Job == "done" || o.Job == "skipped" || o.Job == "lost"), err
}

// enqueue has systemd start a unit, and does not wait. One that would start others along that are to be left
// out is not started: as a container of the set it has its own start.
func (p *partialStart) enqueue(ctx context.Context, unit string) {
	if p.isClean(unit) {
		_ = p.graph.link.call(ctx, managerPath, managerIfc+".StartUnit", unit, "replace").Err // it is only wanted
	}
}

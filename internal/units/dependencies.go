package units

import (
	"context"
	"maps"
	"slices"
	"strings"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// Pulls maps each of the units to the services that its start starts along, or does not go without, directly
// or through services and targets between them. It leaves out those that are active: their start would do
// nothing, and starts none of what they need. With asIfDown it takes all services for inactive.
func (m *Manager) Pulls(ctx context.Context, units []string, asIfDown bool) (map[string][]recover.Pull, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	units = slices.DeleteFunc(slices.Clone(units), func(unit string) bool { return checkUnit(unit) != nil })
	g := graph{link: l, asIfDown: asIfDown, nodes: map[string]node{}}
	if err := g.readFrom(ctx, units); err != nil {
		return nil, err
	}
	pulls := map[string][]recover.Pull{}
	for _, unit := range units {
		found := map[string]recover.Pull{}
		for _, other := range g.reach(unit, node.startsAlong) {
			found[other] = recover.Pull{Unit: other, Starts: true}
		}
		for _, other := range g.reach(unit, node.goesWith) {
			found[other] = recover.Pull{Unit: other, Starts: found[other].Starts, Needed: true}
		}
		for _, other := range slices.Sorted(maps.Keys(found)) {
			if strings.HasSuffix(other, ".service") {
				pulls[unit] = append(pulls[unit], found[other])
			}
		}
	}
	return pulls, nil
}

// A graph is units and what they need of each other (systemd.unit(5)).
type graph struct {
	link     *link
	asIfDown bool // all services count as inactive
	nodes    map[string]node
}

// A node is a unit of a graph.
type node struct {
	listedUnit
	// requires has Requires= and BindsTo=, requisite Requisite=, and after After=.
	requires, requisite, wants, upholds, after []string
}

// startsAlong lists the units that the unit's start starts directly.
func (n node) startsAlong() []string { return slices.Concat(n.requires, n.wants, n.upholds) }

// goesWith lists the units without which the unit does not start, and those that systemd starts whenever it
// finds them down while the unit runs.
func (n node) goesWith() []string { return slices.Concat(n.requires, n.requisite, n.upholds) }

// isDown is that of the unit, or with asIfDown that of a service that is inactive.
func (g *graph) isDown(n node) bool {
	return n.isDown() || g.asIfDown && n.Load == "loaded" && strings.HasSuffix(n.Name, ".service")
}

// isDown reports whether a start of the unit would start something.
func (u listedUnit) isDown() bool {
	up := u.Active == "active" || u.Active == "reloading" || u.Active == "activating"
	ends := u.JobType == "stop" // which a start would undo
	return u.Load == "loaded" && (!up || ends)
}

// reach lists the units that are down and that can be reached from a unit, directly or through others.
func (g *graph) reach(unit string, direct func(node) []string) (reached []string) {
	seen := map[string]bool{unit: true}
	for todo := []string{unit}; len(todo) > 0; todo = todo[1:] {
		for _, other := range direct(g.nodes[todo[0]]) {
			if n, known := g.nodes[other]; !known || seen[other] || !g.isDown(n) {
				continue
			}
			seen[other] = true
			reached = append(reached, other)
			todo = append(todo, other)
		}
	}
	return reached
}

// readFrom reads the units, and all that can be reached from them through units that are down. It asks for
// those of one distance together: systemd has other things to do after a boot.
func (g *graph) readFrom(ctx context.Context, units []string) error {
	for todo := units; len(todo) > 0; {
		listed, err := g.link.listByNames(ctx, todo)
		if err != nil {
			return err
		}
		var down []string
		for i, u := range listed {
			n := node{listedUnit: u}
			g.nodes[todo[i]] = n
			if mayStart(u.Name) && (g.isDown(n) || slices.Contains(units, todo[i])) {
				down = append(down, todo[i])
			}
		}
		if err := g.readDependencies(ctx, down); err != nil {
			return err
		}
		todo = nil
		for _, unit := range down {
			n := g.nodes[unit]
			for _, other := range slices.Concat(n.startsAlong(), n.requisite) {
				if _, known := g.nodes[other]; !known && !slices.Contains(todo, other) {
					todo = append(todo, other)
				}
			}
		}
	}
	return nil
}

// mayStart reports whether a unit by that name may run containers, or start others that do. What else there is,
// such as a mount or a slice, does not.
func mayStart(name string) bool { return checkUnit(name) == nil || isTarget(name) }

// readDependencies reads the dependencies of units that are listed. One call for all properties of a unit
// takes systemd less time than six, and a boot waits for this.
func (g *graph) readDependencies(ctx context.Context, units []string) error {
	answers := make([]allProperties, len(units))
	inParallel(len(units), func(i int) { answers[i] = g.link.getAllOf(ctx, g.nodes[units[i]].Path, unitIfc) })
	for i, unit := range units {
		if err := lost(ctx, g.link, answers[i].err); err != nil {
			return err
		}
		names := func(property string) []string { // none: an older systemd lacks the property (Upholds: 249)
			names, _ := answers[i].values[property].Value().([]string)
			return names
		}
		n := g.nodes[unit]
		n.requires = slices.Concat(names("Requires"), names("BindsTo"))
		n.requisite, n.wants, n.upholds, n.after = names("Requisite"), names("Wants"), names("Upholds"), names("After")
		g.nodes[unit] = n
	}
	return nil
}

// blockers lists the inactive units that a unit requires, and the mount points of the mount units
// among them. It leaves out a unit that it cannot read, since the job result says enough.
func (l *link) blockers(ctx context.Context, path dbus.ObjectPath) (units, mounts []string) {
	for _, kind := range []string{"Requires", "Requisite", "BindsTo"} {
		v, err := l.get(ctx, path, unitIfc, kind)
		if err != nil {
			continue
		}
		names, _ := v.Value().([]string)
		for _, name := range names {
			var other dbus.ObjectPath
			if l.call(ctx, managerPath, managerIfc+".GetUnit", name).Store(&other) != nil {
				continue
			}
			if active, err := l.getString(ctx, other, unitIfc, "ActiveState"); err != nil || active == "active" {
				continue
			}
			units = append(units, name)
			if where, err := l.getString(ctx, other, mountIfc, "Where"); isMount(name) && err == nil {
				mounts = append(mounts, where)
			}
		}
	}
	slices.Sort(units)
	return slices.Compact(units), mounts
}

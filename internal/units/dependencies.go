package units

import (
	"context"
	"slices"

	"github.com/godbus/dbus/v5"
)

// startDependencies are the properties of the units that a start starts too (systemd.unit(5)).
var startDependencies = []string{"Requires", "BindsTo", "Wants", "Upholds"}

// Pulls maps each of the units to the others of them that its start starts too, directly or through
// services and targets between them.
func (m *Manager) Pulls(ctx context.Context, units []string) (map[string][]string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string][]string{} // unit -> the units that its start starts directly
	pulls := map[string][]string{}
	for _, unit := range units {
		seen := map[string]bool{unit: true}
		for todo := []string{unit}; len(todo) > 0; todo = todo[1:] {
			direct, ok := known[todo[0]]
			if !ok {
				if direct, err = l.startsDirectly(ctx, todo[0]); err != nil {
					return nil, err
				}
				known[todo[0]] = direct
			}
			for _, other := range direct {
				if seen[other] {
					continue
				}
				seen[other] = true
				todo = append(todo, other)
				if slices.Contains(units, other) {
					pulls[unit] = append(pulls[unit], other)
				}
			}
		}
	}
	return pulls, nil
}

// startsDirectly lists the units that a unit's start starts directly. It lists none for a unit that is
// active, or that is neither a service, a socket nor a target.
func (l *link) startsDirectly(ctx context.Context, unit string) ([]string, error) {
	if checkUnit(unit) != nil && !isTarget(unit) {
		return nil, nil // a mount or a slice, for example, runs no container
	}
	var path dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", unit).Store(&path); err != nil {
		return nil, l.explain(err)
	}
	if active, err := l.getString(ctx, path, unitIfc, "ActiveState"); err == nil && active == "active" {
		return nil, nil // and so are the units that it needs
	}
	var all []string
	for _, kind := range startDependencies {
		v, err := l.get(ctx, path, unitIfc, kind)
		if err != nil {
			if !l.alive() || ctx.Err() != nil {
				return nil, l.explain(err)
			}
			continue // an older systemd lacks the property (Upholds: 249)
		}
		names, _ := v.Value().([]string)
		all = append(all, names...)
	}
	return all, nil
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

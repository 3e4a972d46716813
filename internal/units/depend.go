package units

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"

	"github.com/godbus/dbus/v5"
)

// ResetFailed takes a unit's failure, and its count of starts, from it.
// (Manager.ResetFailedUnit)
func (m *Manager) ResetFailed(ctx context.Context, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return err
	}
	return l.explain(l.call(ctx, managerPath, managerIfc+".ResetFailedUnit", unit).Err)
}

// bringing are the dependencies that a start follows (systemd.unit(5)).
var bringing = []string{"Requires", "BindsTo", "Wants", "Upholds"}

// Pulls says for each of the units which of the others its start brings along,
// directly or through services and targets between them.
func (m *Manager) Pulls(ctx context.Context, units []string) (map[string][]string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string][]string{} // unit -> what it brings along directly
	pulls := map[string][]string{}
	for _, unit := range units {
		seen := map[string]bool{unit: true}
		for todo := []string{unit}; len(todo) > 0; todo = todo[1:] {
			direct, ok := known[todo[0]]
			if !ok {
				if direct, err = m.bringsAlong(ctx, l, todo[0]); err != nil {
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

// bringsAlong lists what a unit's start brings along directly and does not run
// yet: services, and targets and pods between them.
func (m *Manager) bringsAlong(ctx context.Context, l *link, unit string) ([]string, error) {
	if checkUnit(unit) != nil && !isTarget(unit) {
		return nil, nil // a mount, a slice: nothing that runs a container
	}
	var path dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", unit).Store(&path); err != nil {
		return nil, l.explain(err)
	}
	if active, err := l.getString(ctx, path, unitIfc, "ActiveState"); err == nil && active == "active" {
		return nil, nil // as is all that it needs
	}
	var all []string
	for _, kind := range bringing {
		v, err := l.get(ctx, path, unitIfc, kind)
		if err != nil {
			if !l.alive() || ctx.Err() != nil {
				return nil, l.explain(err)
			}
			continue // a systemd that does not have it yet (Upholds: 249)
		}
		names, _ := v.Value().([]string)
		all = append(all, names...)
	}
	return all, nil
}

// Definition is a digest of a unit's files, as far as they can be read, and of
// what it runs. (Unit.FragmentPath, Unit.DropInPaths, Service.ExecStart)
func (m *Manager) Definition(ctx context.Context, unit string) (string, error) {
	if err := checkUnit(unit); err != nil {
		return "", err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	var path dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", unit).Store(&path); err != nil {
		return "", l.explain(err)
	}
	files := []string{}
	if fragment, err := l.getString(ctx, path, unitIfc, "FragmentPath"); err == nil {
		files = append(files, fragment)
	}
	if v, err := l.get(ctx, path, unitIfc, "DropInPaths"); err == nil {
		dropIns, _ := v.Value().([]string)
		files = append(files, dropIns...)
	}
	sum := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			content = []byte("not to be read by us") // a user's home is hidden from our sandbox
		}
		fmt.Fprintf(sum, "%s\n%d\n%s", file, len(content), content)
	}
	v, err := l.get(ctx, path, serviceIfc, "ExecStart")
	if err != nil {
		return "", l.explain(err)
	}
	var commands []execCommand
	if err := v.Store(&commands); err != nil {
		return "", err
	}
	for _, c := range commands {
		fmt.Fprintf(sum, "%q\n", c.Argv)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// blockers lists the units that unit requires and that are not active, and
// where the mounts among them belong. What cannot be read is left out: the job
// result says enough.
func (m *Manager) blockers(ctx context.Context, l *link, path dbus.ObjectPath) (units, mounts []string) {
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

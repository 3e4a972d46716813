package units

import (
	"context"
	"slices"
	"strings"

	"archy-recovery/internal/podmancmd"

	"github.com/godbus/dbus/v5"
)

const mountIfc = systemd + ".Mount"

func isMount(unit string) bool  { return strings.HasSuffix(unit, ".mount") }
func isTarget(unit string) bool { return strings.HasSuffix(unit, ".target") }

// NotMounted lists the mount points of the host's mount units that an operator
// configured, in fstab(5) or as units, and that are not active. One with an
// active automount unit is mounted when it is first looked at. The host's
// manager is asked also for a user's containers, whose manager knows of a
// mount only while it is there.
// (Manager.ListUnitsByPatterns)
func (m *Manager) NotMounted(ctx context.Context) ([]string, error) {
	host := m.host()
	defer host.done()
	l, err := host.connect(ctx)
	if err != nil {
		return nil, err
	}
	return l.notMounted(ctx)
}

func (l *link) notMounted(ctx context.Context) ([]string, error) {
	// Asked before each start: hence only for what is not as it should be.
	listed, err := l.listByPattern(ctx, "*.mount", "inactive", "activating", "deactivating", "failed", "maintenance")
	if err != nil {
		return nil, err
	}
	var missing []listedUnit
	for _, u := range listed {
		if u.Load != "loaded" {
			continue
		}
		file, err := l.getString(ctx, u.Path, unitIfc, "FragmentPath")
		if err != nil && !isGone(err) { // not to be taken for a mount that is there
			return nil, l.explain(err)
		}
		if err == nil && byOperator(file) {
			missing = append(missing, u)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	waiting, err := l.listByPattern(ctx, "*.automount", "active")
	if err != nil {
		return nil, err
	}
	var points []string
	for _, u := range missing {
		automount := strings.TrimSuffix(u.Name, ".mount") + ".automount"
		if slices.ContainsFunc(waiting, func(a listedUnit) bool { return a.Name == automount }) {
			continue
		}
		where, err := l.getString(ctx, u.Path, mountIfc, "Where")
		if isGone(err) {
			continue // unloaded meanwhile
		}
		if err != nil {
			return nil, l.explain(err)
		}
		points = append(points, where)
	}
	return points, nil
}

// listByPattern lists the loaded units of that name that are in one of the states.
func (l *link) listByPattern(ctx context.Context, pattern string, states ...string) ([]listedUnit, error) {
	var listed []listedUnit
	err := l.call(ctx, managerPath, managerIfc+".ListUnitsByPatterns", states, []string{pattern}).Store(&listed)
	return listed, l.explain(err)
}

// byOperator: not a unit that a vendor ships.
func byOperator(file string) bool {
	return strings.HasPrefix(file, "/etc/") || strings.HasPrefix(file, "/run/") || strings.HasPrefix(file, "/usr/local/")
}

// MountsNeeded lists the host's paths that a unit's container needs, and that
// systemd does not see to itself: the sources of its bind mounts, and for a user,
// whose manager cannot mount, those of RequiresMountsFor= too.
func (m *Manager) MountsNeeded(ctx context.Context, unit string) ([]string, error) {
	if err := checkUnit(unit); err != nil {
		return nil, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	var at dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", unit).Store(&at); err != nil {
		return nil, l.explain(err)
	}
	var commands []execCommand
	v, err := l.get(ctx, at, serviceIfc, "ExecStart")
	if err == nil {
		err = v.Store(&commands)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	var paths []string
	for _, c := range commands {
		paths = append(paths, podmancmd.BindSources(c.Argv)...)
	}
	v, err = l.get(ctx, at, unitIfc, "RequiresMountsFor")
	if err != nil {
		return nil, l.explain(err)
	}
	required, _ := v.Value().([]string)
	if m.address != m.hostBus {
		return append(paths, required...), nil
	}
	return slices.DeleteFunc(paths, func(p string) bool { return slices.Contains(required, p) }), nil
}

// AwaitMounts returns when none of the mount points is without its mount. It
// listens to the host's units and looks again when a mount has changed.
func (m *Manager) AwaitMounts(ctx context.Context, points []string) error {
	return awaitUnits(ctx, m.hostBus, isMount, func(l *link) (bool, error) {
		missing, err := l.notMounted(ctx)
		return !slices.ContainsFunc(points, func(p string) bool { return slices.Contains(missing, p) }), err
	})
}

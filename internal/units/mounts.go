package units

import (
	"context"
	"slices"
	"strings"

	"archy-recovery/internal/podmancmd"
	"archy-recovery/internal/recover"

	unitfile "github.com/coreos/go-systemd/v22/unit"
	"github.com/godbus/dbus/v5"
)

const mountIfc = systemd + ".Mount"

func isMount(unit string) bool  { return strings.HasSuffix(unit, ".mount") }
func isTarget(unit string) bool { return strings.HasSuffix(unit, ".target") }

// NotMounted lists the mount points of the host's inactive mount units that the operator configured, in
// fstab(5) or as units (Manager.ListUnitsByPatterns). It leaves out one with an active automount unit,
// which is mounted at its first access. For a user's containers it asks the host's manager too: the
// user's manager knows a mount only while it is mounted.
func (m *Manager) NotMounted(ctx context.Context) ([]string, error) {
	l, done, err := m.askHost(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return l.notMounted(ctx)
}

// notMounted is NotMounted on the host's bus.
func (l *link) notMounted(ctx context.Context) ([]string, error) {
	// This runs before each start, so it lists only units that are not active.
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
		if err != nil && !isUnknownObject(err) { // an unknown mount must not count as mounted
			return nil, l.explain(err)
		}
		if err == nil && isOperators(file) {
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
		if isUnknownObject(err) {
			continue // systemd has unloaded it
		}
		if err != nil {
			return nil, l.explain(err)
		}
		points = append(points, where)
	}
	return points, nil
}

// listByPattern lists the loaded units that match the pattern and are in one of the states, in any without states.
func (l *link) listByPattern(ctx context.Context, pattern string, states ...string) ([]listedUnit, error) {
	var listed []listedUnit
	err := l.call(ctx, managerPath, managerIfc+".ListUnitsByPatterns", states, []string{pattern}).Store(&listed)
	return listed, l.explain(err)
}

// isOperators reports whether a unit file is the operator's, and not one that a vendor ships.
func isOperators(file string) bool {
	return strings.HasPrefix(file, "/etc/") || strings.HasPrefix(file, "/run/") || strings.HasPrefix(file, "/usr/local/")
}

// MountsNeeded tells what a unit's container needs to be mounted: the sources of its bind mounts, and
// its named volumes. systemd itself mounts the paths of RequiresMountsFor= (systemd.unit(5)); a user's
// manager cannot.
func (m *Manager) MountsNeeded(ctx context.Context, unit string) (needed recover.MountsNeeded, err error) {
	if err := checkUnit(unit); err != nil {
		return needed, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return needed, err
	}
	var at dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", unit).Store(&at); err != nil {
		return needed, l.explain(err)
	}
	var commands []execCommand
	v, err := l.get(ctx, at, serviceIfc, "ExecStart")
	if err == nil {
		err = v.Store(&commands)
	}
	if err != nil {
		return needed, l.explain(err)
	}
	for _, c := range commands {
		sources, named := podmancmd.MountSources(c.Argv)
		needed.Paths, needed.Volumes = append(needed.Paths, sources...), append(needed.Volumes, named...)
	}
	v, err = l.get(ctx, at, unitIfc, "RequiresMountsFor")
	if err != nil {
		return needed, l.explain(err)
	}
	required, _ := v.Value().([]string)
	if m.address != m.hostBus {
		needed.Paths = append(needed.Paths, required...)
		return needed, nil
	}
	needed.Paths = slices.DeleteFunc(needed.Paths, func(p string) bool { return slices.Contains(required, p) })
	needed.ByManager = required
	return needed, nil
}

// AwaitMounts returns when each of the mount points is mounted. It listens to the host's units and looks
// again when a mount has changed.
func (m *Manager) AwaitMounts(ctx context.Context, points []string) error {
	return awaitUnits(ctx, m.hostBus, isMount, func(l *link) (bool, error) {
		missing, err := l.notMounted(ctx)
		return !slices.ContainsFunc(points, func(p string) bool { return slices.Contains(missing, p) }), err
	})
}

// AwaitMountAbove returns when something is mounted on one of the paths, or on a directory above one, that was
// not when it was called. It listens to the host's units: systemd makes one for each mount of the kernel.
func (m *Manager) AwaitMountAbove(ctx context.Context, paths []string) error {
	var before map[string]bool
	return awaitUnits(ctx, m.hostBus, isMount, func(l *link) (bool, error) {
		listed, err := l.listByPattern(ctx, "*.mount", "active")
		if err != nil {
			return false, err
		}
		now, news := map[string]bool{}, false
		for _, u := range listed {
			where := mountPointOf(u.Name)
			if slices.ContainsFunc(paths, func(p string) bool { return recover.Below(p, where) }) {
				now[u.Name] = true
				news = news || !before[u.Name]
			}
		}
		first := before == nil
		before = now
		return news && !first, nil
	})
}

// mountPointOf is the mount point of a mount unit (systemd.mount(5): the name is the escaped path).
func mountPointOf(name string) string {
	return unitfile.UnitNamePathUnescape(strings.TrimSuffix(name, ".mount"))
}

// awaitUnits is awaitSignals for the changes of the units for which relevant reports true
// (PropertiesChanged of org.freedesktop.systemd1.Unit).
func awaitUnits(
	ctx context.Context, address string, relevant func(unit string) bool, done func(*link) (bool, error),
) error {
	is := func(s *dbus.Signal) bool { return relevant(unitOf(s.Path)) }
	return awaitSignals(ctx, address, [][]dbus.MatchOption{changesOf(unitIfc)}, is, done)
}

// awaitSignals returns when done reports true. It calls done at once, and again after each matching
// signal for which relevant reports true. It uses a connection of its own.
func awaitSignals(
	ctx context.Context, address string, matches [][]dbus.MatchOption,
	relevant func(*dbus.Signal) bool, done func(*link) (bool, error),
) error {
	changes := make(chan struct{}, 1)
	listen := func(signals <-chan *dbus.Signal) {
		defer close(changes)
		for sig := range signals {
			if !relevant(sig) {
				continue
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}
	conn, err := dial(ctx, address, listen, matches)
	if err != nil {
		return noBus(address, err)
	}
	defer conn.Close()
	l := &link{conn: conn}
	for {
		if ended, err := done(l); err != nil || ended {
			return err
		}
		select {
		case _, alive := <-changes:
			if !alive {
				return recover.ErrNoBus
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

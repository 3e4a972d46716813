package units

import (
	"context"
	"path"
	"slices"
	"strings"

	"archy-recovery/internal/podmancmd"
	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// ContainerUnits lists those of the named service units whose ExecStart= runs or
// starts a podman container: Quadlet's, podman-generate-systemd's and those
// that people write. With nil it looks through all installed ones but those
// that vendors ship in /usr, for which systemd reads all unit directories.
// systemd is asked, not the files, since it has expanded the specifiers and
// merged the drop-ins. (Manager.ListUnitFilesByPatterns, Service.ExecStart)
// Of the named ones also those that show no container, but set
// PODMAN_SYSTEMD_UNIT to their own name, as Quadlet's and generated ones do.
func (m *Manager) ContainerUnits(ctx context.Context, names []string) ([]recover.ContainerUnit, error) {
	all := names == nil
	if all {
		var err error
		if names, err = m.installed(ctx); err != nil {
			return nil, err
		}
	}
	listed, err := m.listByNames(ctx, names)
	if err != nil {
		return nil, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		u := listed[name]
		return u.Load != "loaded" || u.Name != name // an alias is found under its own name
	})
	var paths []dbus.ObjectPath
	for _, name := range names {
		paths = append(paths, listed[name].Path)
	}
	var found []recover.ContainerUnit
	for i, answer := range l.getAll(ctx, paths, serviceIfc, "ExecStart") {
		name := names[i]
		if err := answer.err; err != nil {
			if ctx.Err() != nil || !l.alive() {
				return nil, l.explain(err)
			}
			continue // unloaded meanwhile
		}
		var commands []execCommand
		if answer.value.Store(&commands) != nil {
			continue
		}
		before := len(found)
		for _, c := range commands {
			if container, ok := containerOf(c.Argv); ok {
				found = append(found, recover.ContainerUnit{Unit: name, Container: container})
			}
		}
		if len(found) == before && !all && l.labels(ctx, paths[i], name) {
			found = append(found, recover.ContainerUnit{Unit: name})
		}
	}
	return found, nil
}

// labels reports whether a unit has podman label what it runs with its name.
// (Service.Environment)
func (l *link) labels(ctx context.Context, path dbus.ObjectPath, name string) bool {
	v, err := l.get(ctx, path, serviceIfc, "Environment")
	if err != nil {
		return false
	}
	set, _ := v.Value().([]string)
	return slices.Contains(set, "PODMAN_SYSTEMD_UNIT="+name)
}

// execCommand is the (sasbttttuii) of Service.ExecStart.
type execCommand struct {
	Path                      string
	Argv                      []string
	IgnoreFailure             bool
	Started, StartedMonotonic uint64
	Exited, ExitedMonotonic   uint64
	PID                       uint32
	Code, Status              int32
}

// installed lists the service units outside of /usr that can be started:
// neither templates nor masked, nor written by Install.
func (m *Manager) installed(ctx context.Context) ([]string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	var files []struct{ Path, State string }
	err = l.call(ctx, managerPath, managerIfc+".ListUnitFilesByPatterns", []string{}, []string{"*.service"}).Store(&files)
	if err != nil {
		return nil, l.explain(err)
	}
	var names []string
	for _, f := range files {
		name := path.Base(f.Path)
		switch {
		case strings.HasPrefix(f.Path, "/usr/"), strings.HasPrefix(f.Path, "/lib/"):
		case strings.HasPrefix(f.State, "masked"), f.State == "alias", f.State == "bad":
		case strings.Contains(name, "@."):
		case m.wrote(f.Path):
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// containerOf returns the container that a command line of podman runs or starts.
func containerOf(argv []string) (recover.Container, bool) {
	command, ok := podmancmd.Parse(argv)
	if !ok || recover.CheckName(command.Name) != nil {
		return recover.Container{}, false
	}
	c := recover.Container{Name: command.Name}
	for _, label := range command.Labels {
		if text, ok := strings.CutPrefix(label, recover.TierLabel+"="); ok {
			if tier, err := recover.ParseTier(text); err == nil {
				c.Tier = &tier
			}
		}
	}
	return c, true
}

package units

import (
	"context"
	"path"
	"slices"
	"strings"

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

// containerOf reads which container a command line of podman runs or starts.
func containerOf(argv []string) (recover.Container, bool) {
	if len(argv) < 3 || path.Base(argv[0]) != "podman" {
		return recover.Container{}, false
	}
	args := withoutGlobalFlags(argv[1:])
	if len(args) > 0 && args[0] == "container" {
		args = args[1:]
	}
	if len(args) == 0 {
		return recover.Container{}, false
	}
	var c recover.Container
	switch args[0] {
	case "run":
		for i, arg := range args {
			flag, value, joined := strings.Cut(arg, "=")
			if !joined && i+1 < len(args) {
				value = args[i+1]
			}
			switch flag {
			case "--name":
				// The first: after the image comes the container's own command,
				// which may have a --name too.
				if c.Name == "" {
					c.Name = value
				}
			case "--label", "-l":
				if text, ok := strings.CutPrefix(value, recover.TierLabel+"="); ok {
					if tier, err := recover.ParseTier(text); err == nil {
						c.Tier = &tier
					}
				}
			}
		}
	case "start":
		// The name is the last word; podman would start several, but then the
		// unit is no container's.
		c.Name = args[len(args)-1]
	}
	return c, recover.CheckName(c.Name) == nil
}

// withoutGlobalFlags drops the flags before podman's verb, which Quadlet's
// GlobalArgs= puts there. What they are is podman's to know: a word after a
// flag without "=" is its value, unless it is a verb that matters here.
func withoutGlobalFlags(args []string) []string {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		joined := strings.Contains(args[0], "=")
		args = args[1:]
		if !joined && len(args) > 0 && !strings.HasPrefix(args[0], "-") && !slices.Contains([]string{"container", "run", "start"}, args[0]) {
			args = args[1:]
		}
	}
	return args
}

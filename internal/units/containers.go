package units

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"archy-recovery/internal/podmancmd"
	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// ContainerUnits lists the service units whose ExecStart= runs or starts a podman container:
// those of Quadlet, of podman-generate-systemd, and of the operator.
//
// With names it looks at these units. It then also lists a unit that shows no container, but sets
// PODMAN_SYSTEMD_UNIT to its own name, as Quadlet's and generated units do. With nil it looks at all
// installed units outside of /usr.
//
// It asks systemd what they run and reads no unit file, since systemd has expanded the specifiers and merged
// the drop-ins (Service.ExecStart).
func (m *Manager) ContainerUnits(ctx context.Context, names []string) ([]recover.ContainerUnit, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	all := names == nil
	if all {
		if names, err = m.installed(ctx, l); err != nil {
			return nil, err
		}
	}
	listed, err := m.listByNames(ctx, names)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		u := listed[name]
		return u.Load != "loaded" || u.Name != name // an alias is listed under the name of its unit
	})
	var starts []property
	for _, name := range names {
		starts = append(starts, property{listed[name].Path, serviceIfc, "ExecStart"})
	}
	var found []recover.ContainerUnit
	for i, answer := range l.getAll(ctx, starts) {
		name := names[i]
		if answer.err != nil {
			if err := lost(ctx, l, answer.err); err != nil {
				return nil, err
			}
			continue // systemd has unloaded it
		}
		var commands []execCommand
		if answer.value.Store(&commands) != nil {
			continue
		}
		before := len(found)
		for _, c := range commands {
			if container, ok := containerOf(c.Argv); ok {
				needs, existing := podmancmd.Needs(c.Argv)
				found = append(found, recover.ContainerUnit{
					Unit: name, Container: container, Job: !detaches(c.Argv), Needs: needs, StartsExisting: existing,
					Discards: podmancmd.Discards(c.Argv),
				})
			}
		}
		if len(found) == before && !all && l.labels(ctx, starts[i].path, name) {
			found = append(found, recover.ContainerUnit{Unit: name})
		}
	}
	if err := markJobs(ctx, l, m.runtimeDir, found); err != nil {
		return nil, err // half an answer would take each unit for a job
	}
	return found, nil
}

// labels reports whether a unit has podman label its containers with its name: it sets
// PODMAN_SYSTEMD_UNIT to that (Service.Environment).
func (l *link) labels(ctx context.Context, object dbus.ObjectPath, name string) bool {
	v, err := l.get(ctx, object, serviceIfc, "Environment")
	if err != nil {
		return false
	}
	set, _ := v.Value().([]string)
	return slices.Contains(set, "PODMAN_SYSTEMD_UNIT="+name)
}

// An execCommand is one command of Service.ExecStart, which has the type a(sasbttttuii).
type execCommand struct {
	Path                      string
	Argv                      []string
	IgnoreFailure             bool
	Started, StartedMonotonic uint64
	Exited, ExitedMonotonic   uint64
	PID                       uint32
	Code, Status              int32
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
		if text, ok := strings.CutPrefix(label, recover.WaitLabel+"="); ok {
			c.Wait = recover.ParseWait(text)
		}
	}
	return c, true
}

// detaches reports whether a command line that containerOf accepts leaves the container behind and ends
// (podman-run(1), --detach; podman-start(1), --attach). A oneshot unit with such a command has ended while
// its container runs.
func detaches(argv []string) bool {
	if slices.Contains(argv, "run") {
		return slices.ContainsFunc(argv, detachFlag.MatchString)
	}
	return !slices.ContainsFunc(argv, attachFlag.MatchString)
}

var (
	detachFlag = regexp.MustCompile(`^(-[itqP]*d[itqP]*|--detach(=true)?)$`)
	attachFlag = regexp.MustCompile(`^(-[il]*a[il]*|--attach(=true)?)$`)
)

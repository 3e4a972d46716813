package units

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Enabled reports whether a unit file is enabled (Manager.GetUnitFileState). A missing one is not.
func (m *Manager) Enabled(ctx context.Context, unit string) (bool, error) {
	if err := checkUnit(unit); err != nil {
		return false, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return false, err
	}
	var state string
	err = l.call(ctx, managerPath, managerIfc+".GetUnitFileState", unit).Store(&state)
	var refused dbus.Error
	if errors.As(err, &refused) && l.alive() && ctx.Err() == nil {
		return false, nil // there is no such unit file
	}
	return strings.HasPrefix(state, "enabled"), l.explain(err)
}

// StartedByTargets lists those of the units that a target wants or requires, as with an enabled [Install]
// section (Unit.WantedBy, Unit.RequiredBy). Quadlet's units are among them: its generator makes the links.
func (m *Manager) StartedByTargets(ctx context.Context, units []string) ([]string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := m.listByNames(ctx, units)
	if err != nil {
		return nil, err
	}
	var started []string
	for _, unit := range units {
		u, ok := listed[unit]
		if !ok || u.Load != "loaded" {
			continue
		}
		for _, property := range []string{"WantedBy", "RequiredBy"} {
			v, err := l.get(ctx, u.Path, unitIfc, property)
			if err != nil {
				return nil, l.explain(err)
			}
			by, _ := v.Value().([]string)
			if slices.ContainsFunc(by, isTarget) {
				started = append(started, unit)
				break
			}
		}
	}
	return started, nil
}

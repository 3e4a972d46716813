package units

import (
	"context"
	"errors"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Enabled reports whether the unit file is enabled; one that does not exist is
// not. (Manager.GetUnitFileState)
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
		return false, nil // no such file
	}
	return strings.HasPrefix(state, "enabled"), l.explain(err)
}

// StartedByTargets lists those of the units that a target wants or requires,
// as it does for an [Install] section: also for Quadlet, whose generator makes
// the links. (Unit.WantedBy, Unit.RequiredBy)
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
			if anyTarget(by) {
				started = append(started, unit)
				break
			}
		}
	}
	return started, nil
}

func anyTarget(units []string) bool {
	for _, unit := range units {
		if strings.HasSuffix(unit, ".target") {
			return true
		}
	}
	return false
}

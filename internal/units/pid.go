package units

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// UnitOf returns the name of the unit of a process (Manager.GetUnitByPID). The manager also sees processes
// that the sandbox hides from this one.
func (m *Manager) UnitOf(ctx context.Context, pid int) (string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	var path dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".GetUnitByPID", uint32(pid)).Store(&path); err != nil {
		return "", l.explain(err)
	}
	return l.getString(ctx, path, unitIfc, "Id")
}

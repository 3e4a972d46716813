package units

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// UnitOf names the unit that a process belongs to. The manager sees processes
// that our sandbox hides from us. (Manager.GetUnitByPID)
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

package units

import (
	"context"
	"strings"
)

// Failure returns the result of a failed service or socket, such as "start-limit-hit", and "" for one
// that has not failed (Service.Result, Socket.Result).
func (m *Manager) Failure(ctx context.Context, unit string) (string, error) {
	listed, err := m.listByNames(ctx, []string{unit})
	if err != nil || listed[unit].Active != "failed" {
		return "", err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	iface := serviceIfc
	if strings.HasSuffix(unit, ".socket") {
		iface = systemd + ".Socket"
	}
	return l.getString(ctx, listed[unit].Path, iface, "Result")
}

// ResetFailed resets the failed state of a unit and its count of starts (Manager.ResetFailedUnit).
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

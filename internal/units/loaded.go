package units

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/godbus/dbus/v5"
)

// planTarget is ordered after the units of a plan, and so keeps them loaded, as holder does.
const planTarget = "archy-recovery-plan.target"

// KeepLoaded has systemd keep the units in its memory until release is called.
//
// systemd forgets an inactive unit that nothing refers to as soon as it has answered for it, and reads
// its files again for the next question. A plan asks about each unit several times, while systemd boots
// the host. A target costs one call for all of them. A reference of a bus client (Manager.RefUnit) would
// cost systemd a match on the bus for each, of which dbus-daemon allows it 512. Where the target cannot be
// written or started, the units are only slower to ask about.
func (m *Manager) KeepLoaded(ctx context.Context, units []string) (release func()) {
	units = slices.DeleteFunc(slices.Clone(units), func(unit string) bool { return checkUnit(unit) != nil })
	if len(units) == 0 || os.MkdirAll(m.runtimeDir, 0o755) != nil ||
		m.writeTarget(planTarget, "Units of the Plan of archy-recovery", units) != nil {
		return func() {}
	}
	remove := func() { _ = os.Remove(filepath.Join(m.runtimeDir, planTarget)) }
	l, err := m.connect(ctx)
	if err != nil {
		return remove
	}
	call := func(method, mode string) {
		// systemd handles calls in order: what is asked later needs no reply to this.
		l.conn.Object(systemd, managerPath).Go(managerIfc+method, dbus.FlagNoReplyExpected, nil, planTarget, mode)
	}
	call(".StartUnit", "fail")
	return func() {
		call(".StopUnit", "replace")
		remove()
	}
}

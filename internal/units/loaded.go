package units

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// KeepLoaded has systemd keep the units in its memory until release is called (Manager.RefUnit).
//
// systemd forgets an inactive unit that nothing refers to as soon as it has answered for it, and reads
// its files again for the next question. A plan asks about each unit several times, while systemd boots
// the host. Where systemd does not answer, the units are only slower to ask about.
func (m *Manager) KeepLoaded(ctx context.Context, units []string) (release func()) {
	l, err := m.connect(ctx)
	if err != nil {
		return func() {}
	}
	each := func(method string) {
		for _, unit := range units {
			if checkUnit(unit) == nil {
				// systemd handles the calls in order: what is asked later needs no reply to these.
				l.conn.Object(systemd, managerPath).Go(managerIfc+method, dbus.FlagNoReplyExpected, nil, unit)
			}
		}
	}
	each(".RefUnit")
	// Where this is lost, the end of the connection drops the references.
	return func() { each(".UnrefUnit") }
}

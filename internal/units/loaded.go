package units

import (
	"context"
	"slices"

	"github.com/godbus/dbus/v5"
)

// maxLoaded bounds the references. For each, systemd adds a match to the bus, and dbus-daemon allows it 512
// (max_match_rules_per_connection). Others need some too. Without a free one systemd takes no new subscriber,
// and systemd 252 loses its bus.
const maxLoaded = 128

// KeepLoaded has systemd keep the units in its memory until release is called (Manager.RefUnit).
//
// systemd forgets an inactive unit that nothing refers to as soon as it has answered for it, and reads
// its files again for the next question. A plan asks about each unit several times, while systemd boots
// the host. Where systemd does not answer, the units are only slower to ask about, and so are those after
// the first maxLoaded.
func (m *Manager) KeepLoaded(ctx context.Context, units []string) (release func()) {
	l, err := m.connect(ctx)
	if err != nil {
		return func() {}
	}
	units = slices.DeleteFunc(slices.Clone(units), func(unit string) bool { return checkUnit(unit) != nil })
	units = units[:min(len(units), maxLoaded)]
	each := func(method string) {
		for _, unit := range units {
			// systemd handles the calls in order: what is asked later needs no reply to these.
			l.conn.Object(systemd, managerPath).Go(managerIfc+method, dbus.FlagNoReplyExpected, nil, unit)
		}
	}
	each(".RefUnit")
	// Where this is lost, the end of the connection drops the references.
	return func() { each(".UnrefUnit") }
}

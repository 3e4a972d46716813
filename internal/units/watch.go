package units

import (
	"context"
	"fmt"
	"path"
	"strings"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// Changes tells that containers may have started or stopped: a value arrives
// when a unit that runs a container, or the scope of one that has no unit
// (libpod-ID.scope), becomes active, inactive or failed. Values do not queue
// up. The channel closes with ctx, or when the bus goes away.
// (PropertiesChanged of org.freedesktop.systemd1.Unit)
func (m *Manager) Changes(ctx context.Context) (<-chan struct{}, error) {
	w := &watcher{
		manager: m,
		ctx:     ctx,
		changes: make(chan struct{}, 1),
		states:  map[dbus.ObjectPath]string{},
		ours:    map[string]bool{},
	}
	conn, err := dial(ctx, m.address, w.listen, [][]dbus.MatchOption{
		{
			dbus.WithMatchSender(systemd),
			dbus.WithMatchInterface("org.freedesktop.DBus.Properties"),
			dbus.WithMatchMember("PropertiesChanged"),
			dbus.WithMatchPathNamespace(managerPath + "/unit"),
			dbus.WithMatchArg(0, unitIfc),
		},
		{
			dbus.WithMatchSender(systemd),
			dbus.WithMatchInterface(managerIfc),
			dbus.WithMatchMember("Reloading"),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", recover.ErrNoBus, m.address, err)
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return w.changes, nil
}

// A watcher sorts the signals of one connection.
type watcher struct {
	manager *Manager
	ctx     context.Context
	changes chan struct{}
	states  map[dbus.ObjectPath]string // what each unit was last
	ours    map[string]bool            // service -> runs a container; asked once
}

func (w *watcher) listen(signals <-chan *dbus.Signal) {
	defer close(w.changes)
	for sig := range signals {
		if sig.Name == managerIfc+".Reloading" {
			clear(w.ours) // a unit may run something else now
			continue
		}
		if !w.changed(sig) {
			continue
		}
		select {
		case w.changes <- struct{}{}:
		default: // one is waiting to be taken
		}
	}
}

// changed reports whether a signal says that a container came or went.
func (w *watcher) changed(sig *dbus.Signal) bool {
	var (
		iface   string
		values  map[string]dbus.Variant
		invalid []string
	)
	if dbus.Store(sig.Body, &iface, &values, &invalid) != nil {
		return false
	}
	state, ok := values["ActiveState"].Value().(string)
	if !ok {
		return false
	}
	unit := unitOf(sig.Path)
	scope := strings.HasPrefix(unit, "libpod-") && strings.HasSuffix(unit, ".scope")
	if !scope && !strings.HasSuffix(unit, ".service") {
		return false
	}
	switch state {
	case "active", "inactive", "failed":
	default:
		return false // on its way to one of these
	}
	if w.states[sig.Path] == state || !scope && !w.runsContainer(unit) {
		return false
	}
	if state == "inactive" {
		delete(w.states, sig.Path) // scopes come and go for ever
		return true
	}
	w.states[sig.Path] = state
	return true
}

// runsContainer asks systemd, once a unit and reload.
func (w *watcher) runsContainer(unit string) bool {
	known, ok := w.ours[unit]
	if ok {
		return known
	}
	found, err := w.manager.containersOf(w.ctx, unit)
	if err != nil {
		return true // not known: a look too many does no harm
	}
	w.ours[unit] = len(found) > 0
	return len(found) > 0
}

// unitOf is the unit's name in an object path, where each byte that is no
// letter or digit is written _XX (sd_bus_path_encode(3)).
func unitOf(p dbus.ObjectPath) string {
	label := path.Base(string(p))
	var name strings.Builder
	for i := 0; i < len(label); i++ {
		var b byte
		if label[i] == '_' && i+2 < len(label) {
			if _, err := fmt.Sscanf(label[i+1:i+3], "%02x", &b); err == nil {
				name.WriteByte(b)
				i += 2
				continue
			}
		}
		name.WriteByte(label[i])
	}
	return name.String()
}

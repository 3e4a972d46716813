package units

import (
	"context"
	"slices"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// A networkManager is a program that configures the network, and says on the bus whether the host is online.
type networkManager struct {
	name, ifc string
	path      dbus.ObjectPath
	property  string
	online    func(value any) bool
	signal    []dbus.MatchOption // tells that the property may have changed
}

const properties = "org.freedesktop.DBus.Properties"

// networkManagers are those of which Debian's network-online.target waits for one.
var networkManagers = []networkManager{
	{
		name: "org.freedesktop.NetworkManager", ifc: "org.freedesktop.NetworkManager",
		path: "/org/freedesktop/NetworkManager", property: "State",
		// NM_STATE_CONNECTED_SITE: there is a default route, and perhaps no Internet behind it.
		online: func(v any) bool { state, _ := v.(uint32); return state >= 60 },
		signal: []dbus.MatchOption{
			dbus.WithMatchSender("org.freedesktop.NetworkManager"),
			dbus.WithMatchInterface("org.freedesktop.NetworkManager"), dbus.WithMatchMember("StateChanged"),
		},
	},
	{
		name: "org.freedesktop.network1", ifc: "org.freedesktop.network1.Manager",
		path: "/org/freedesktop/network1", property: "OnlineState", // networkctl(1)
		online: func(v any) bool { return v == "online" || v == "partial" },
		signal: []dbus.MatchOption{
			dbus.WithMatchSender("org.freedesktop.network1"), dbus.WithMatchObjectPath("/org/freedesktop/network1"),
			dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged"),
		},
	},
}

// NetworkState says whether the host's network is there. network-online.target is also reached when the unit
// that waits for the network has given up. Then a network manager is asked. (Unit.ActiveState)
func (m *Manager) NetworkState(ctx context.Context) (recover.NetworkState, error) {
	l, done, err := m.askHost(ctx)
	if err != nil {
		return recover.NetworkDown, err
	}
	defer done()
	return l.networkState(ctx)
}

func (l *link) networkState(ctx context.Context) (recover.NetworkState, error) {
	target, err := l.list(ctx, networkTarget)
	if err != nil || target.Active != "active" {
		return recover.NetworkDown, err
	}
	gaveUp, err := l.hasFailed(ctx, target.Path, "Wants", "Requires")
	if err != nil || !gaveUp {
		return recover.NetworkUp, err
	}
	for _, n := range networkManagers {
		if n.isOnline(ctx, l) {
			return recover.NetworkUp, nil
		}
	}
	return recover.NetworkUnsure, nil
}

// hasFailed reports whether a unit that the unit at this path names in these properties has failed.
func (l *link) hasFailed(ctx context.Context, path dbus.ObjectPath, kinds ...string) (bool, error) {
	var asked []property
	for _, kind := range kinds {
		asked = append(asked, property{path, unitIfc, kind})
	}
	var names []string
	for _, a := range l.getAll(ctx, asked) {
		if err := lost(ctx, l, a.err); err != nil {
			return false, err
		}
		more, _ := a.value.Value().([]string)
		names = append(names, more...)
	}
	listed, err := l.listByNames(ctx, names)
	return slices.ContainsFunc(listed, func(u listedUnit) bool { return u.Active == "failed" }), err
}

// isOnline asks the program, and does not start it. One that does not run or answer says nothing.
func (n networkManager) isOnline(ctx context.Context, l *link) bool {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var v dbus.Variant
	err := l.conn.Object(n.name, n.path).
		CallWithContext(bounded, properties+".Get", dbus.FlagNoAutoStart, n.ifc, n.property).Store(&v)
	return err == nil && n.online(v.Value())
}

// AwaitNetwork returns when the state is a better one. It is told by a signal of systemd or of a network manager.
func (m *Manager) AwaitNetwork(ctx context.Context, than recover.NetworkState) error {
	matches := [][]dbus.MatchOption{changesOf(unitIfc)}
	for _, n := range networkManagers {
		matches = append(matches, n.signal)
	}
	is := func(s *dbus.Signal) bool {
		return unitOf(s.Path) == networkTarget ||
			slices.ContainsFunc(networkManagers, func(n networkManager) bool { return s.Path == n.path })
	}
	return awaitSignals(ctx, m.hostBus, matches, is, func(l *link) (bool, error) {
		state, err := l.networkState(ctx)
		return state > than, err
	})
}

package units

import (
	"testing"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// A fakeNetwork is a network manager on the bus.
type fakeNetwork struct {
	t     *testing.T
	conn  *dbus.Conn
	props *prop.Properties
	networkManager
}

func newNetwork(t *testing.T, b *bus, n networkManager, state any) *fakeNetwork {
	t.Helper()
	conn, err := dbus.Connect(b.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	props, err := prop.Export(conn, n.path, prop.Map{n.ifc: {n.property: {Value: state, Emit: prop.EmitTrue}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(n.name, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return &fakeNetwork{t, conn, props, n}
}

// become changes the state and tells of it, as that program does.
func (n *fakeNetwork) become(state any) {
	n.t.Helper()
	n.props.SetMust(n.ifc, n.property, state) // emits PropertiesChanged
	if value, isNumber := state.(uint32); isNumber {
		if err := n.conn.Emit(n.path, n.ifc+".StateChanged", value); err != nil {
			n.t.Fatal(err)
		}
	}
}

// The target is reached, and the unit that it wants has failed: a network manager's word counts, if there is
// one, and its signal ends the wait.
func TestNetworkAfterWaitGaveUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		networkManager
		down, up any
	}{
		{networkManagers[0], uint32(20), uint32(70)}, // NM_STATE_DISCONNECTED, NM_STATE_CONNECTED_GLOBAL
		{networkManagers[1], "offline", "online"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBus(t)
			m, f := managerOn(t, b), newSystemd(t, b)
			is := func(when string, want recover.NetworkState) {
				t.Helper()
				if got, err := m.NetworkState(soon(t)); got != want || err != nil {
					t.Errorf("%s: the state is %v (%v), want %v", when, got, err, want)
				}
			}
			wants := map[string]any{"Unit.Wants": []string{"wait-online.service"}, "Unit.Requires": []string{}}
			f.set(networkTarget, "inactive", "dead", wants)
			f.set("wait-online.service", "failed", "failed", nil)
			is("not reached", recover.NetworkDown)
			f.set("wait-online.service", "active", "exited", nil)
			f.set(networkTarget, "active", "active", wants)
			is("reached", recover.NetworkUp)
			f.set("wait-online.service", "failed", "failed", nil)
			is("without a network manager", recover.NetworkUnsure)

			n := newNetwork(t, b, c.networkManager, c.down)
			is("offline", recover.NetworkUnsure)
			if err := m.AwaitNetwork(soon(t), recover.NetworkDown); err != nil {
				t.Errorf("the wait of one that was down: %v", err)
			}
			done := make(chan error, 1)
			for len(f.called) > 0 {
				<-f.called
			}
			go func() { done <- m.AwaitNetwork(soon(t), recover.NetworkUnsure) }()
			f.awaitCall("Subscribe")
			f.awaitCall("ListUnitsByNames") // of the target
			f.awaitCall("ListUnitsByNames") // of what it wants
			select {
			case err := <-done:
				t.Fatalf("the wait has ended without the network: %v", err)
			default:
			}
			n.become(c.up)
			if err := await(t, done, "the network"); err != nil {
				t.Error(err)
			}
			is("online", recover.NetworkUp)
		})
	}
}

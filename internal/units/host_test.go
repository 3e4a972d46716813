package units

import (
	"maps"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"
)

// TestHostIsAskedOverOneConnection checks that the questions of a user's manager for the host share a connection,
// that no signal of the host's units comes over it, and that it ends after them.
func TestHostIsAskedOverOneConnection(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	hostBus := newBus(t)
	host := newSystemd(t, hostBus)
	m.hostBus = hostBus.address()

	left := make(chan *dbus.Signal, 64)
	watch, err := dbus.Connect(hostBus.address())
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	watch.Signal(left)
	if err := watch.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(2, "")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if points, err := m.NotMounted(soon(t)); err != nil || len(points) > 0 {
			t.Fatal(points, err)
		}
		if _, err := m.NetworkState(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	host.mu.Lock()
	senders := slices.Collect(maps.Keys(host.senders))
	host.mu.Unlock()
	if len(senders) != 1 || host.count("ListUnitsByPatterns") != 3 || host.count("Subscribe") != 0 {
		t.Errorf("connections %q, %d questions, %d subscriptions; want one, 3, none",
			senders, host.count("ListUnitsByPatterns"), host.count("Subscribe"))
	}
	for await(t, left, "the end of the connection").Body[0] != senders[0] {
	}
	if _, err := m.NotMounted(soon(t)); err != nil { // it connects again
		t.Error(err)
	}
}

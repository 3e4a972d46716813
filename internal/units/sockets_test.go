package units

import "testing"

func TestSocketOn(t *testing.T) {
	t.Parallel()
	type listen struct{ Type, Address string }
	m, f := newManager(t)
	listens := func(unit, state string, on ...listen) {
		f.set(unit, state, "listening", map[string]any{"Socket.Listen": on})
	}
	listens("web.socket", "active", listen{"Stream", "/run/web:80"}, listen{"Stream", "127.0.0.1:5000"})
	listens("six.socket", "active", listen{"Datagram", "[::]:53"})
	listens("off.socket", "inactive", listen{"Stream", "[::]:81"})
	f.set("gone.socket", "active", "", nil)
	for port, want := range map[int]string{5000: "web.socket", 53: "six.socket", 80: "", 81: "", 500: "", 3: ""} {
		if got, err := m.SocketOn(soon(t), port); err != nil || got != want {
			t.Errorf("%d: %q, %v", port, got, err)
		}
	}
}

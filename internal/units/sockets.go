package units

import (
	"context"
	"strconv"
	"strings"
)

// SocketOn returns the active socket unit that listens on a port of an IP address, "" if none does
// (Socket.Listen).
func (m *Manager) SocketOn(ctx context.Context, port int) (string, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	sockets, err := l.listByPattern(ctx, "*.socket", "active")
	if err != nil {
		return "", err
	}
	asked := make([]property, len(sockets))
	for i, u := range sockets {
		asked[i] = property{u.Path, systemd + ".Socket", "Listen"}
	}
	for i, answer := range l.getAll(ctx, asked) {
		var listens []struct{ Type, Address string } // such as Stream and [::]:80
		if answer.err != nil || answer.value.Store(&listens) != nil {
			continue // it has just been unloaded
		}
		for _, at := range listens {
			path := strings.HasPrefix(at.Address, "/") || strings.HasPrefix(at.Address, "@")
			if !path && strings.HasSuffix(at.Address, ":"+strconv.Itoa(port)) {
				return sockets[i].Name, nil
			}
		}
	}
	return "", nil
}

package units

import (
	"context"
	"sync"
	"time"
)

// A host is the system manager, as a user's manager asks it: for its mounts, its network, and whether it goes
// down. Each start asks. A connection costs the bus and systemd more than the question, so it stays for a while.
type host struct {
	mu      sync.Mutex
	manager *Manager // nil without a connection
	lease   lease
}

// hostLingers is how long the connection stays after its last use: for the starts of a tier, and for the questions
// of one look.
const hostLingers = time.Second

// askHost returns a connection to the system manager, which is this one or that of its host. done ends its use.
func (m *Manager) askHost(ctx context.Context) (l *link, done func(), err error) {
	system, done := m, func() {}
	if m.address != m.hostBus {
		system, done = m.host.take(m.hostBus), m.host.leave
	}
	if l, err = system.connect(ctx); err != nil {
		done()
		return nil, nil, err
	}
	return l, done, nil
}

// take begins a use of the manager on the bus at address.
func (h *host) take(address string) *Manager {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.manager == nil {
		h.manager = New(address, "", "")
		h.manager.asksOnly = true
	}
	h.lease.take()
	return h.manager
}

// leave ends a use.
func (h *host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease.leave(&h.mu, hostLingers, h.drop)
}

// close closes the connection.
func (h *host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease.stop()
	h.drop()
}

// drop is close with mu held.
func (h *host) drop() {
	if h.manager != nil {
		h.manager.Close()
		h.manager = nil
	}
}

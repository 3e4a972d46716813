package units

import (
	"sync"
	"time"
)

// A host is the system manager, as a user's manager asks it: for its mounts, its network, and whether it goes
// down. Each start asks. A connection costs the bus and systemd more than the question, so it stays for a while.
type host struct {
	mu      sync.Mutex
	manager *Manager // nil without a connection
	uses    int
	linger  *time.Timer
}

// hostLingers is how long the connection stays after its last use: for the starts of a tier, and for the questions
// of one look.
const hostLingers = time.Second

// useHost returns the system manager, which is this one or that of its host. done ends its use.
func (m *Manager) useHost() (system *Manager, done func()) {
	if m.address == m.hostBus {
		return m, func() {}
	}
	h := &m.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.manager == nil {
		h.manager = New(m.hostBus, "", "")
		h.manager.asksOnly = true
	}
	if h.linger != nil {
		h.linger.Stop()
	}
	h.uses++
	return h.manager, h.done
}

func (h *host) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.uses--; h.uses == 0 {
		h.linger = time.AfterFunc(hostLingers, h.closeUnused)
	}
}

// closeUnused closes the connection, unless it is used again.
func (h *host) closeUnused() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.uses == 0 {
		h.drop()
	}
}

// close closes the connection.
func (h *host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.linger != nil {
		h.linger.Stop()
	}
	h.drop()
}

func (h *host) drop() {
	if h.manager != nil {
		h.manager.Close()
		h.manager = nil
	}
}

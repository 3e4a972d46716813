package daemon

import (
	"sync"

	"archy-recovery/internal/recover"
)

// A marker writes the file that says that this run is under way.
type marker struct {
	store    Store
	identity recover.Identity
	board    *board

	mu      sync.Mutex
	missing bool // it could not be written yet
}

// write writes the marker. If that fails (a full or read-only disk) recovery goes
// on: an old marker then stays in place, and still means a crash.
func (m *marker) write() {
	m.mu.Lock()
	err := m.store.WriteMarker(m.identity)
	m.missing = err != nil
	m.mu.Unlock()
	if err != nil {
		m.board.note(stateDamaged, "no marker written: should the host crash now, the next boot may not notice", err)
	}
}

// retry writes the marker if that has failed before.
func (m *marker) retry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.missing {
		m.missing = m.store.WriteMarker(m.identity) != nil
	}
}

// remove removes the marker at a stop in order.
func (m *marker) remove() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store.RemoveMarker()
}

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
	// earlier are the boots since the snapshot in which recovery did not get as far as
	// another one.
	earlier []string
}

// replace writes the marker of this run in the place of one whose run left something.
// unsaved are the boots that this run replays.
func (m *marker) replace(unsaved []string) {
	m.mu.Lock()
	m.earlier = unsaved
	m.mu.Unlock()
	m.write()
}

// write writes the marker. If that fails (a full or read-only disk) recovery goes
// on: an old marker then stays in place, and still means a crash.
func (m *marker) write() {
	m.mu.Lock()
	err := m.store.WriteMarker(m.content(recover.LeftNothing))
	m.missing = err != nil
	m.mu.Unlock()
	if err != nil {
		m.board.note(stateDamaged, "no marker written: should the host crash now, the next boot may not notice", err)
	}
}

// content is the marker with mu held.
func (m *marker) content(left recover.Leftover) recover.Marker {
	return recover.Marker{Identity: m.identity, Earlier: m.earlier, Left: left}
}

// retry writes the marker if that has failed before.
func (m *marker) retry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.missing {
		m.missing = m.store.WriteMarker(m.content(recover.LeftNothing)) != nil
	}
}

// end removes the marker at a stop in order, or keeps it for the next run with what is
// left.
func (m *marker) end(left recover.Leftover) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if left == recover.LeftNothing {
		return m.store.RemoveMarker()
	}
	return m.store.WriteMarker(m.content(left))
}

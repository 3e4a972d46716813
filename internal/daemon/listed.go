package daemon

import (
	"maps"
	"slices"
	"sync"

	"archy-recovery/internal/recover"
)

// A listed remembers the names that the user had on the user-stopped list in this run: a name
// that is not on it may have left it, or a container may have been stopped without it.
type listed struct {
	mu    sync.Mutex
	names map[string]bool
}

// saw takes note of the user's names on the list.
func (l *listed) saw(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.names[name] = true
	}
}

// allowed says of which containers the user has allowed the start again, by the list as it is now
// and by what runs: those that have left the list, and those that were stopped without it and run
// again.
func (l *listed) allowed(now []string, list recover.Sightings) func(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	once := maps.Clone(l.names)
	return func(name string) bool {
		return !slices.Contains(now, name) && (once[name] || list.Running(name))
	}
}

package daemon

import (
	"context"
	"slices"
	"sync"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// A storage is the place where podman keeps its containers. While a mount above it is
// missing, podman must not be asked, nor a container started: podman would begin an empty
// store in the empty directory, and then know of no container.
type storage struct {
	systemd recover.Systemd

	mu   sync.Mutex
	root string // empty if it is not known
	// there: it was mounted at some time of this run. It is in use then, and stays.
	there bool
}

// at says where the storage is, and reports whether that is news.
func (s *storage) at(root string) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.root != root
	s.root = root
	return news
}

// where is the storage's directory, as far as that is known.
func (s *storage) where() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root
}

// check returns a *engine.NotMounted with the mount points above the storage that are
// configured and not mounted. What cannot be asked delays nothing.
func (s *storage) check(ctx context.Context) error {
	s.mu.Lock()
	root, there := s.root, s.there
	s.mu.Unlock()
	if root == "" || there {
		return nil
	}
	points, err := s.systemd.NotMounted(ctx)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	points = slices.DeleteFunc(points, func(point string) bool { return !recover.Below(root, point) })
	if len(points) > 0 {
		return &engine.NotMounted{Points: points}
	}
	s.mu.Lock()
	s.there = true
	s.mu.Unlock()
	return nil
}

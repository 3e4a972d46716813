package vm

import (
	"context"
	"fmt"
	"sync"
)

// news is a state that several goroutines change and wait for.
type news struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
}

func newNews() *news { return &news{changed: make(chan struct{})} }

// change makes a change and wakes up those who wait.
func (n *news) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// await waits until done says yes or fails; done is called with the lock held,
// at every change.
func (n *news) await(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		n.mu.Lock()
		ok, err := done()
		changed := n.changed
		n.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}

// Package change lets goroutines wait for changes of a shared state.
package change

import (
	"context"
	"fmt"
	"sync"
)

// A State guards values that several goroutines change and wait for. The values
// are fields of the struct that embeds it.
type State struct {
	sync.Mutex
	changed chan struct{} // closed and replaced at every change
}

// NewState returns a State.
func NewState() *State { return &State{changed: make(chan struct{})} }

// Change calls f with the lock held and wakes up all waiting calls of Await.
func (s *State) Change(f func()) {
	s.Lock()
	defer s.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await waits until done returns true or an error. It calls done with the lock
// held: at once, and after every change. If the context ends first, the error
// holds its cause and says what was waited for.
func (s *State) Await(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		s.Lock()
		ok, err := done()
		changed := s.changed
		s.Unlock()
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

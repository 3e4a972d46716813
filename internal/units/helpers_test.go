package units

import (
	"context"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// newManager returns a Manager, and the fake systemd that it drives.
func newManager(t *testing.T) (*Manager, *fakeSystemd) {
	t.Helper()
	b := newBus(t)
	return managerOn(t, b), newSystemd(t, b)
}

// managerOn returns a system manager on a bus.
func managerOn(t *testing.T, b *bus) *Manager {
	m := New(b.address(), b.path("units"), "archy-recovery.service")
	m.hostBus = m.address
	t.Cleanup(m.Close)
	return m
}

// soon returns a context for calls that should end by themselves. Only a failing test reaches its deadline.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// await returns the next value of a channel. what names it.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(2 * time.Minute): // only a failing test waits so long
		t.Fatal("this did not happen: ", what)
		panic("unreachable")
	}
}

// A startResult is the result of a Start.
type startResult struct {
	outcome recover.Outcome
	err     error
}

// startAsync calls Start in a goroutine of its own.
func startAsync(ctx context.Context, m *Manager, unit string) <-chan startResult {
	c := make(chan startResult, 1)
	go func() {
		o, err := m.Start(ctx, unit)
		c <- startResult{o, err}
	}()
	return c
}

// syncReplies returns when every reply and signal that the fake has sent has reached m. They come over one
// connection, in order.
func syncReplies(t *testing.T, m *Manager) {
	t.Helper()
	if _, err := m.SoftReboots(soon(t)); err != nil {
		t.Fatal(err)
	}
}

// checkNoReference fails if systemd still has a reference to a unit.
func checkNoReference(t *testing.T, f *fakeSystemd) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for unit, refs := range f.refs {
		if refs > 0 {
			t.Errorf("%s has %d references", unit, refs)
		}
	}
}

// checkNothingWaits fails if m still keeps a job when no Start runs.
func checkNothingWaits(t *testing.T, m *Manager) {
	t.Helper()
	syncReplies(t, m)
	m.link.mu.Lock()
	defer m.link.mu.Unlock()
	if m.link.calls != 0 || len(m.link.waiting) != 0 || len(m.link.early) != 0 {
		t.Errorf("still kept: %d calls, waiting %v, early %v", m.link.calls, m.link.waiting, m.link.early)
	}
}

package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// A hold keeps what is started by itself after READY: retries and paroles. It is on disk for a
// daemon that is started again in this boot. Recovery itself is never held.
type hold struct {
	store Store
	board *board
	boot  string

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
}

func newHold(w World, b *board, boot string) *hold {
	return &hold{store: w.Store, board: b, boot: boot, changed: make(chan struct{})}
}

// load takes up the hold of an earlier daemon of this boot.
func (h *hold) load() {
	switch held, err := h.store.Hold(); {
	case err != nil && !errors.Is(err, recover.ErrNone):
		h.board.note(stateDamaged, "it is not known until when retries are held: they are not", err)
	case held.BootID == h.boot:
		h.board.change(func() { h.board.held = held.Until })
	}
}

// until is when the hold ends, and a channel that is closed when that changes.
func (h *hold) until() (time.Time, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.board.mu.Lock()
	defer h.board.mu.Unlock()
	return h.board.held, h.changed
}

// set holds until then, zero for not at all. If that cannot be written it still holds for this
// daemon.
func (h *hold) set(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.board.change(func() { h.board.held = until })
	if err := h.store.SaveHold(recover.Hold{BootID: h.boot, Until: until}); err != nil {
		h.board.note(stateDamaged, "the hold cannot be written: it ends when this service is started again", err)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// wait returns when nothing is held, or ctx ends.
func (h *hold) wait(ctx context.Context) {
	for {
		until, changed := h.until()
		if !until.After(time.Now()) {
			return
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

package daemon

import (
	"sync"

	"archy-recovery/internal/recover"
)

// A history keeps the report of this recovery beside those of earlier ones.
type history struct {
	store Store
	board *board

	mu sync.Mutex // held by the writer of the report
}

// save writes the report once recovery is complete, and again when it changes
// after that. Without a recovery (a restart in the same boot) it writes nothing.
func (h *history) save() {
	h.mu.Lock()
	defer h.mu.Unlock()
	status, _ := h.board.status()
	if !status.RecoveryComplete || status.Restarted {
		return
	}
	id, err := h.store.SaveReport(status.Recovery)
	if err != nil {
		h.board.log.Warn("the recovery cannot be kept in the history", "MESSAGE_ID", recover.MsgStateDamaged, "error", err)
		return
	}
	h.board.change(func() { h.board.report.ID = id })
}

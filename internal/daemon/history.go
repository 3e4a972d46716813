package daemon

import (
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// amendEvery is the least time between two writes of a report that is amended.
const amendEvery = 5 * time.Minute

// A history keeps the report of this recovery beside those of earlier ones.
type history struct {
	store Store
	board *board
	soak  time.Duration

	mu sync.Mutex // held by the writer of the report
	// due is set while the report on disk is out of date.
	due *time.Timer
	// next is when an amended report may be written.
	next   time.Time
	closed bool
	// written is when the report was written last.
	written time.Time
}

// save writes the report once recovery is complete, and again when it changes
// after that. Without a recovery (a restart in the same boot) it writes nothing.
func (h *history) save() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.write()
}

// ofThisBoot is the last report of this boot, zero without one.
func (h *history) ofThisBoot() recover.Report {
	reports, err := h.store.Reports()
	if err != nil || len(reports) == 0 || reports[len(reports)-1].BootID != h.board.identity.BootID {
		return recover.Report{}
	}
	return reports[len(reports)-1]
}

// write is save with mu held.
func (h *history) write() {
	status, _ := h.board.status()
	if !status.RecoveryComplete {
		return
	}
	if status.Restarted { // what it goes on with belongs to the recovery of this boot
		report := h.ofThisBoot()
		if report.ID == 0 || len(status.Recovery.Rows) == 0 {
			return
		}
		status.Recovery = report.With(status.Recovery.Rows)
	}
	if h.due != nil {
		h.due.Stop()
		h.due = nil
	}
	if h.next.IsZero() { // what falls does so in its soak: the next write is at its end
		h.next = status.Recovery.Finished.Add(h.soak)
	} else if now := time.Now(); !now.Before(h.next) { // else it is written for the verdict's cause, which came late
		h.next = now.Add(amendEvery)
	}
	id, err := h.store.SaveReport(status.Recovery)
	if err != nil {
		h.board.log.Warn("the recovery cannot be kept in the history", "MESSAGE_ID", recover.MsgStateDamaged, "error", err)
		return
	}
	h.written = time.Now()
	h.board.change(func() { h.board.report.ID = id })
}

// amended has the report written when its time comes: at the soak's end, and then at
// most every 5 minutes.
func (h *history) amended() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next.IsZero() {
		return // READY is about to write it
	}
	if h.due == nil && !h.closed {
		h.due = time.AfterFunc(max(0, time.Until(h.next)), h.save)
	}
}

// clockStep is the least step of the wall clock that a report is written again for.
const clockStep = 5 * time.Second

// checkClock has the report written again, with the times corrected, if the wall clock was
// set since it was written.
func (h *history) checkClock() {
	h.mu.Lock()
	stepped := !h.written.IsZero() && recover.Stepped(h.written, time.Now()).Abs() >= clockStep
	h.mu.Unlock()
	if stepped {
		h.amended()
	}
}

// close writes an amended report at a stop.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.due != nil {
		h.write()
	}
}

package daemon

import (
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// progressEvery is the least time between two lines of STATUS= before READY. systemd tells the bus of each one, with
// all properties of the service: with one for each event that took some hundredths of the CPU time of a recovery.
const progressEvery = 250 * time.Millisecond

// A progress keeps STATUS= true before READY, as far as progressEvery allows.
type progress struct {
	board  *board
	status func(line string)

	mu   sync.Mutex
	told time.Time
	// due tells the next line; nil without one.
	due   *time.Timer
	ended bool
}

// changed tells systemd, at once or when it may be told again.
func (p *progress) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due != nil || p.ended {
		return
	}
	if wait := progressEvery - time.Since(p.told); wait > 0 {
		p.due = time.AfterFunc(wait, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.due = nil
			p.tell()
		})
		return
	}
	p.tell()
}

// tell is called with mu held, so nothing is told after end.
func (p *progress) tell() {
	p.board.mu.Lock()
	line, recovering := p.board.progress.Line(), p.board.phase == recover.Recovering
	p.board.mu.Unlock()
	if recovering && !p.ended {
		p.status(line)
		p.told = time.Now()
	}
}

// end ends it, before READY.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.due != nil {
		p.due.Stop()
	}
}

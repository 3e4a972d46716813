package daemon

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// A board shows where the daemon stands: all parts publish on it, and Status
// reads it. Its lock is never held during I/O, so that a reader never waits for a
// disk or for podman.
type board struct {
	log      *slog.Logger
	identity recover.Identity
	began    time.Time

	mu       sync.Mutex
	phase    recover.Phase
	report   recover.Report
	progress recover.Progress // of the report's rows
	set      recover.Snapshot // the last one that was saved or loaded
	book     recover.Casebook
	// now is what the containers do at this moment, by name. Once a reader has it (nowRead), it
	// is replaced and not changed. Without one, a recovery of many would copy it for each event.
	now     map[string]recover.NowState
	nowRead bool
	told    map[string]time.Time // when a signal, and no look, told of a container last
	// statusLine is what STATUS= says since READY.
	statusLine string
	// restarted: the last run ended in order in this boot. Then nothing is
	// recovered, and the set goes on as it is.
	restarted bool
	// leftDown names what a clean boot did not start though it had run. What runs by now is
	// in no note.
	leftDown []string
	// lostRules says which containers lack rules of their networks, as of the last look.
	lostRules string
	// clockNotSet: the clock was behind a moment of an earlier boot when this run began.
	clockNotSet bool
	held        time.Time // the end of the hold
	volatile    bool      // the journal is in memory only
	changed     chan struct{}
}

func newBoard(log *slog.Logger, identity recover.Identity) *board {
	return &board{
		log: log, identity: identity, began: time.Now(), phase: recover.Assessing,
		told: map[string]time.Time{}, changed: make(chan struct{}),
	}
}

// observePhase is told each change of the phase; tests look in, and compare it
// with the diagram in docs/recovery.md.
var observePhase = func(from, to recover.Phase) {}

// enter moves to a phase, together with what update changes.
func (b *board) enter(p recover.Phase, update func()) {
	b.change(func() {
		observePhase(b.phase, p)
		b.phase = p
		if update != nil {
			update()
		}
	})
}

// change changes the board, and closes the channel that Status has given out.
func (b *board) change(update func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	update()
	close(b.changed)
	b.changed = make(chan struct{})
}

// status is the board as it stands, and a channel that closes when it changes.
func (b *board) status() (recover.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nowRead = true
	report := b.report
	report.Rows = slices.Clone(report.Rows)
	report.Notes = slices.Clone(report.Notes)
	stillDown := slices.DeleteFunc(slices.Clone(b.leftDown), func(name string) bool {
		return b.now[name] == recover.NowRunning
	})
	if note := leftDownNote(stillDown); note != "" {
		report.Notes = append(report.Notes, note)
	}
	if b.lostRules != "" {
		report.Notes = append(report.Notes, b.lostRules)
	}
	return recover.Status{
		State:            b.phase,
		RecoveryComplete: !b.report.Finished.IsZero(),
		Progress:         b.progress.Line(),
		Identity:         b.identity,
		Uptime:           time.Since(b.began),
		Recovery:         report.ByClockOf(time.Now(), b.clockNotSet),
		Set:              b.set,
		Quarantine:       slices.Clone(b.book.Suspects),
		Crashes:          b.book.Crashes,
		Unexplained:      b.book.Unexplained,
		Quiet:            b.book.Quiet,
		Now:              b.now,
		Restarted:        b.restarted,
		HeldUntil:        b.held,
		JournalVolatile:  b.volatile,
	}, b.changed
}

func (b *board) currentPhase() recover.Phase {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.phase
}

func (b *board) restartedInOrder() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.restarted
}

// currentSet is the last snapshot that was saved or loaded.
func (b *board) currentSet() recover.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.set
}

// currentBook must not be changed by the caller.
func (b *board) currentBook() recover.Casebook {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.book
}

// currentSuspects must not be changed by the caller.
func (b *board) currentSuspects() recover.Quarantine { return b.currentBook().Suspects }

func (b *board) showSet(set recover.Snapshot) { b.change(func() { b.set = set }) }

func (b *board) showBook(book recover.Casebook) { b.change(func() { b.book = book }) }

// showNow publishes what the named containers do at this moment, as a signal told it.
func (b *board) showNow(states map[string]recover.NowState) {
	b.mu.Lock()
	same := true
	for name, state := range states {
		same = same && b.now[name] == state
		b.told[name] = time.Now()
	}
	b.mu.Unlock()
	if !same {
		b.change(func() { b.setNow(states) })
	}
}

// replaceNow publishes what all containers do, as a look saw it that began at began. Other
// containers are not known any more. What a signal told since then is newer, and stays.
func (b *board) replaceNow(now map[string]recover.NowState, began time.Time) {
	b.mu.Lock()
	for name, at := range b.told {
		switch {
		case at.Before(began):
			delete(b.told, name)
		case b.now[name] != "":
			now[name] = b.now[name]
		}
	}
	same := maps.Equal(b.now, now)
	b.mu.Unlock()
	if !same {
		b.change(func() { b.now, b.nowRead = now, false })
	}
}

// setNow is showNow with mu held.
func (b *board) setNow(states map[string]recover.NowState) {
	if b.nowRead || b.now == nil {
		now := make(map[string]recover.NowState, len(b.now)+len(states))
		maps.Copy(now, b.now)
		b.now, b.nowRead = now, false
	}
	maps.Copy(b.now, states)
}

// A problem is what a note is about.
type problem string

const (
	stateDamaged problem = recover.MsgStateDamaged // a file of the data directory
	impaired     problem = recover.MsgImpaired     // podman, systemd or the journal cannot be asked
)

// note puts a problem that the operator should know into the report and the journal.
func (b *board) note(kind problem, text string, err error) {
	b.log.Warn(text, "MESSAGE_ID", string(kind), "error", err)
	b.addNote(fmt.Sprintf("%s: %v", text, err))
}

// addNote puts a note into the report, once.
func (b *board) addNote(text string) {
	b.change(func() {
		if !slices.Contains(b.report.Notes, text) {
			b.report.Notes = append(b.report.Notes, text)
		}
	})
}

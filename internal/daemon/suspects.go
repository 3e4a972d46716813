package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// suspects is the book of the containers that were in flight when the host
// crashed. It decides which are quarantined, and when each is clear again. The
// list itself is on the board, for readers that must not wait for the disk.
type suspects struct {
	world    World
	policy   recover.Policy
	identity recover.Identity
	board    *board
	entries  stopEntries
	listed   listed
	// flight keeps the names of the containers that are in flight.
	flight *engine.Flight

	// mu guards what follows. A change of the list of suspects, or of the user-stopped
	// list, holds it until the change is on disk.
	mu sync.Mutex
	// unsaved: the list could not be written.
	unsaved bool
	// quiet: nothing was in flight when the host crashed, and that is not judged yet.
	quiet bool
	// dates are when each is tried and when suspicion of it ends, by a clock that does not
	// jump.
	dates map[string]dates
	// seenRunning is since when suspects are seen to run that recovery has not
	// started.
	seenRunning map[string]time.Time
}

func newSuspects(w World, p recover.Policy, identity recover.Identity, b *board) *suspects {
	s := &suspects{world: w, policy: p, identity: identity, board: b,
		entries: stopEntries{store: w.Store, board: b}, listed: listed{names: map[string]bool{}},
		seenRunning: map[string]time.Time{}}
	s.flight = engine.NewFlight(s.saveInFlight, s.soaked)
	return s
}

// byUser is the user-stopped list without the names that archy-recovery put there.
func (s *suspects) byUser(stopped []string) []string {
	names := s.entries.byUser(stopped, s.board.currentSuspects())
	s.listed.saw(names)
	return names
}

// change changes the book, shows it and writes it. If it cannot be written the next
// look tries again. Called with mu held.
func (s *suspects) change(book recover.Casebook) error {
	s.board.showBook(book)
	err := s.world.Store.SaveQuarantine(book)
	s.unsaved = err != nil
	if err != nil {
		s.board.note(stateDamaged, "the list of suspects cannot be written", err)
	}
	return err
}

// saveInFlight writes the names that are in flight. If that fails the start goes
// on: a host without its containers is worse than one that may crash again.
func (s *suspects) saveInFlight(names []string) error {
	err := s.world.Store.SaveInFlight(recover.InFlight{BootID: s.identity.BootID, Names: names})
	if err != nil {
		s.board.note(stateDamaged, "the containers in flight cannot be written down: "+
			"should the host crash now, other ones are suspected, or none", err)
	}
	return err
}

// retry writes what could not be written before.
func (s *suspects) retry() {
	s.flight.Retry()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved {
		_ = s.change(s.board.currentBook()) // it notes its error itself
	}
}

// addDeferred writes down before READY what systemd starts at READY.
func (s *suspects) addDeferred() {
	var names []string
	status, _ := s.board.status()
	for _, row := range status.Recovery.Rows {
		if row.State == recover.RowDeferred {
			names = append(names, row.Name)
		}
	}
	s.flight.Add(names...)
	for _, name := range names {
		s.flight.Soak(name, s.policy.Soak)
	}
}

// A clearance is why a suspect is no longer one.
type clearance string

const (
	clearSoaked  clearance = "no longer suspected: it was started and the host lived"
	clearRunning clearance = "no longer suspected: it runs, and the host lives"
	clearByHand  clearance = "released from quarantine by hand"
)

// clear takes a suspect off the list, but first off the user-stopped list: without
// the suspect the name there would be taken for the user's. Called with mu held.
func (s *suspects) clear(suspect recover.Suspect, why clearance) error {
	return s.leave(suspect, why, recover.Casebook.Clear)
}

// leave lets a suspect go, by what update makes of the book: first off the user-stopped
// list. Called with mu held.
func (s *suspects) leave(
	suspect recover.Suspect, why clearance, update func(recover.Casebook, string) recover.Casebook,
) error {
	if err := s.entries.remove(suspect); err != nil {
		return fmt.Errorf("its name cannot be taken off the user-stopped list: %w", err)
	}
	book := s.board.currentBook()
	if suspect.Listed {
		suspect.Listed = false
		book.Suspects = book.Suspects.With(suspect)
	}
	book = update(book, suspect.Name)
	level := slog.LevelInfo
	if suspect.Noted {
		level = slog.LevelDebug
	}
	if _, still := book.Suspects.Find(suspect.Name); !still || suspect.Quarantined {
		s.world.Log.Log(context.Background(), level, string(why),
			"MESSAGE_ID", recover.MsgReleased, "container", suspect.Name, "strikes", suspect.Strikes)
	}
	if err := s.change(book); err != nil {
		return fmt.Errorf("no longer suspected, but that cannot be written yet: %w", err)
	}
	return nil
}

// soaked counts the soak of a container, if it runs and is not quarantined.
func (s *suspects) soaked(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	suspect, known := s.board.currentSuspects().Find(name)
	if !known || suspect.Quarantined || s.countedSoak(suspect) {
		return
	}
	status, _ := s.board.status()
	if slices.ContainsFunc(status.Recovery.Rows, func(r recover.Row) bool {
		return r.Name == name && (r.State == recover.RowUp || r.State == recover.RowActive)
	}) {
		_ = s.leave(suspect, clearSoaked, s.countSoak) // it is tried again at each look
	}
}

// countSoak counts the soak of a suspect in this boot.
func (s *suspects) countSoak(book recover.Casebook, name string) recover.Casebook {
	return book.Soaked(name, s.identity.BootID)
}

// countedSoak reports whether it was counted, by this run or by an earlier one of this boot.
func (s *suspects) countedSoak(suspect recover.Suspect) bool {
	return suspect.LivedIn == s.identity.BootID
}

// ErrNotSuspected means that there is no suspect of that name.
var ErrNotSuspected = errors.New("not in quarantine, nor suspected")

// release clears a suspect by hand.
func (s *suspects) release(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	suspect, known := s.board.currentSuspects().Find(name)
	if !known {
		return fmt.Errorf("%s: %w", name, ErrNotSuspected)
	}
	return s.clear(suspect, clearByHand)
}

// review brings the suspects up to date with a look at the set. It clears those
// that something else has started and that have run for a soak, by these looks.
// And it takes note of names that the user has taken off the user-stopped list.
// It returns that list without the names that archy-recovery put there: both are
// read under one lock, since a release in between would make such a name the
// user's.
func (s *suspects) review(list recover.Sightings) (userStopped []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopped, err := s.world.Store.UserStopped()
	if err != nil {
		return nil, err
	}
	for _, suspect := range s.board.currentSuspects() {
		since, seen := s.seenRunning[suspect.Name]
		switch {
		case !list.Running(suspect.Name):
			delete(s.seenRunning, suspect.Name)
		case !seen:
			s.seenRunning[suspect.Name] = time.Now()
		case time.Since(since) < s.policy.Soak:
		case suspect.Quarantined:
			_ = s.clear(suspect, clearRunning) // it is tried again at each look
		case !s.countedSoak(suspect) || suspect.Listed:
			_ = s.leave(suspect, clearRunning, s.countSoak)
		}
	}
	book := s.board.currentBook()
	if now := s.dated(s.entries.withoutRemoved(book.Suspects)); !slices.Equal(now, book.Suspects) {
		book.Suspects = now
		_ = s.change(book) // it is tried again at the next look
	}
	return s.byUser(stopped), nil
}

// setUserStopped puts a name on the user-stopped list or takes it off. From then on
// that is the user's word, also for the name of a suspect.
func (s *suspects) setUserStopped(name string, stopped bool) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if changed, err = s.entries.edit(name, stopped); err != nil {
		return false, err
	}
	if suspect, known := s.board.currentSuspects().Find(name); known && suspect.Listed {
		suspect.Listed = false
		book := s.board.currentBook()
		book.Suspects = book.Suspects.With(suspect)
		_ = s.change(book) // it is tried again at the next look
	}
	return changed, nil
}

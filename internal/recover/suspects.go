package recover

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// causeWithin is how long the journal may take to say that a host which left
// containers in flight was shut down in order, and did not crash.
const causeWithin = 10 * time.Second

// judgeSuspects takes into the books who was in flight when the host crashed,
// before anything is started. A crash of the service alone is no crash of the
// host: then the soak of those in flight begins anew.
func (s *Service) judgeSuspects(ctx context.Context, v Verdict, explained <-chan Verdict, view View) Quarantine {
	before, err := s.Store.Quarantine()
	if err != nil {
		s.note("the list of suspects cannot be read; the quarantined ones among them are on the user-stopped list", err)
	}
	crash, err := s.Store.InFlight()
	if err != nil {
		s.note("what was in flight cannot be read: nobody is suspected", err)
	}
	now, over := before, len(crash.Names) > 0
	switch {
	case !v.Unclean() || len(crash.Names) == 0:
	case crash.BootID == s.identity.BootID:
		s.flight.Resume(crash.Names, s.policy.Soak)
		over = false
	case inOrder(explained):
		s.Log.Info("nobody is suspected: the host was shut down in order", "MESSAGE_ID", MsgSuspect)
	default:
		now = before.Strike(crash, time.Now())
	}
	now = s.secondChances(ctx, now, view)
	now = s.list(now, crash)
	if !slices.Equal(now, before) && s.saveQuarantine(now) != nil {
		over = false
	}
	s.listOnDisk(now, crash)
	if over {
		// Not earlier: a crash of whatever kind from the marker to here, and it is
		// judged by the next run.
		_ = s.writeInFlight(nil) // to judge it twice does no harm
	}
	s.change(func() { s.suspects = now })
	for _, suspect := range now {
		if suspect.BootID == crash.BootID {
			logSuspect(s.Log, suspect)
		}
	}
	return now
}

// inOrder waits a moment for the journal to say that the host was shut down in
// order, and only the service cut short.
func inOrder(explained <-chan Verdict) bool {
	timeout := time.NewTimer(causeWithin)
	defer timeout.Stop()
	select {
	case v := <-explained:
		return v.Cause == CauseShutdown || v.Cause == CauseSoftBoot || v.Cause == CauseKexec
	case <-timeout.C:
		return false
	}
}

// secondChances lets go of the quarantined whose image or unit is another one
// now. They are still started alone, and a crash then quarantines them again.
func (s *Service) secondChances(ctx context.Context, q Quarantine, view View) Quarantine {
	quarantined := []Container{}
	for _, suspect := range q {
		if suspect.Quarantined {
			quarantined = append(quarantined, Container{Name: suspect.Name})
		}
	}
	view.Include(ctx, s.Systemd, quarantined)
	for _, suspect := range q {
		if !suspect.Quarantined {
			continue
		}
		if suspect.Fingerprint == "" {
			suspect.Image = s.imageOf(suspect.Name)
		}
		print := s.fingerprint(ctx, suspect, view)
		switch {
		case print == "" || print == suspect.Fingerprint:
			continue
		case suspect.Fingerprint != "":
			s.Log.Warn("released from quarantine: its image or unit was changed", "MESSAGE_ID", MsgReleased, "container", suspect.Name)
			suspect.Listed = s.unlist(suspect) != nil // then it stays ours, and is no word of the user
			suspect.Strikes, suspect.Quarantined, print = 1, false, ""
		}
		suspect.Fingerprint = print
		q = q.With(suspect)
	}
	return q
}

// imageOf is the image of a member of the set, "" where that is not known.
func (s *Service) imageOf(name string) string {
	status, _ := s.Status()
	for _, c := range status.Set.Containers {
		if c.Name == name {
			return c.Image
		}
	}
	return ""
}

// fingerprint tells what a container is made of, "" where that cannot be found
// out as a whole.
func (s *Service) fingerprint(ctx context.Context, suspect Suspect, view View) string {
	c := view.Update(Container{Name: suspect.Name, Image: suspect.Image})
	parts := []string{view.sightings[c.Name].ID}
	if unit := view.unitOf(c.Name); unit != "" {
		definition, err := s.Systemd.Definition(ctx, unit)
		if err != nil {
			return ""
		}
		parts[0] = definition // each start of the unit makes another container
	}
	if c.Image != "" {
		image, err := s.Podman.ImageID(ctx, c.Image)
		if err != nil {
			return ""
		}
		parts = append(parts, image)
	}
	if parts[0] == "" {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\n"))))[:16]
}

// list marks the ones that this crash has quarantined as ours to put on the
// user-stopped list, unless the user did so before. Others that keep an eye on
// containers, such as a health monitor, know only that list.
func (s *Service) list(q Quarantine, crash InFlight) Quarantine {
	stopped, err := s.Store.UserStopped()
	if err != nil {
		return q
	}
	for _, suspect := range q {
		if suspect.Quarantined && suspect.BootID == crash.BootID && !slices.Contains(stopped, suspect.Name) {
			suspect.Listed = true
			q = q.With(suspect)
		}
	}
	return q
}

// disown takes note that someone took a name off the list that we had put
// there. Should it come back it is the user's word.
func (s *Service) disown(q Quarantine) Quarantine {
	stopped, err := s.Store.UserStopped()
	if err != nil {
		return q
	}
	for _, suspect := range q {
		if suspect.Listed && !slices.Contains(stopped, suspect.Name) {
			suspect.Listed = false
			q = q.With(suspect)
		}
	}
	return q
}

// listOnDisk puts them there, after the quarantine says whose they are. Should
// the power fail in between, the same crash is judged again.
func (s *Service) listOnDisk(q Quarantine, crash InFlight) {
	for _, suspect := range q {
		if suspect.Quarantined && suspect.Listed && suspect.BootID == crash.BootID {
			if _, err := s.editUserStopped(suspect.Name, true); err != nil {
				s.note("a quarantined container cannot be put on the user-stopped list; others may start it", err)
			}
		}
	}
}

// unlist takes a name that we listed off the user-stopped list.
func (s *Service) unlist(suspect Suspect) error {
	if !suspect.Listed {
		return nil
	}
	_, err := s.editUserStopped(suspect.Name, false)
	if err != nil {
		s.note("a name that was quarantined stays on the user-stopped list", err)
	}
	return err
}

func (s *Service) saveQuarantine(q Quarantine) error {
	err := s.Store.SaveQuarantine(q)
	s.change(func() { s.unkept = err != nil })
	if err != nil {
		s.note("who is suspected of having taken the host down cannot be written", err)
	}
	return err
}

// writeInFlight writes down who is in flight. Where that fails the start goes
// on: a host without its containers is worse than one that may crash again.
func (s *Service) writeInFlight(names []string) error {
	err := s.Store.SaveInFlight(InFlight{BootID: s.identity.BootID, Names: names})
	if err != nil {
		s.note("who is in flight cannot be written: should the host crash now, others are suspected, or nobody", err)
	}
	return err
}

// boardDeferred says before READY who starts at it, by itself.
func (s *Service) boardDeferred() {
	var names []string
	status, _ := s.Status()
	for _, row := range status.Recovery.Rows {
		if row.State == RowDeferred {
			names = append(names, row.Name)
		}
	}
	s.flight.Board(names...)
	for _, name := range names {
		s.flight.Land(name, s.policy.Soak)
	}
}

// forgive takes the strikes from a container that has lived its soak.
func (s *Service) forgive(name string) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.mu.Lock()
	suspect, known := s.suspects.Find(name)
	lives := known && slices.ContainsFunc(s.report.Rows, func(r Row) bool {
		return r.Name == name && (r.State == RowUp || r.State == RowActive)
	})
	s.mu.Unlock()
	if !lives || suspect.Quarantined {
		return
	}
	_ = s.letGo(suspect, "no longer suspected: it was started and the host lived") // tried again at each look
}

// letGo takes a suspect off the books, but first off the user-stopped list: there
// its name alone would be taken for the user's word. Called with keeping held.
func (s *Service) letGo(suspect Suspect, why string) error {
	if err := s.unlist(suspect); err != nil {
		return fmt.Errorf("its name cannot be taken off the user-stopped list: %w", err)
	}
	var q Quarantine
	s.change(func() {
		q = s.suspects.Without(suspect.Name)
		s.suspects = q
	})
	s.Log.Info(why, "MESSAGE_ID", MsgReleased, "container", suspect.Name, "strikes", suspect.Strikes)
	if err := s.saveQuarantine(q); err != nil {
		return fmt.Errorf("no longer suspected, but that cannot be written yet: %w", err)
	}
	return nil
}

// ErrNotSuspected: there is no suspect of that name.
var ErrNotSuspected = errors.New("not in quarantine, nor suspected")

// Release takes a container out of quarantine: it is started again from the
// next recovery on, and no longer on the user-stopped list, unless the user had
// put it there. It is not started now.
func (s *Service) Release(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	status, _ := s.Status()
	suspect, known := status.Quarantine.Find(name)
	if !known {
		return fmt.Errorf("%s: %w", name, ErrNotSuspected)
	}
	return s.letGo(suspect, "released from quarantine by hand")
}

// pardonRunning lets go of suspects that someone else has started and that have
// run for longer than a soak, as it sees at each look. Called with keeping held.
func (s *Service) pardonRunning(list []Sighting) {
	status, _ := s.Status()
	for _, suspect := range status.Quarantine {
		runs := slices.ContainsFunc(list, func(c Sighting) bool { return c.Name == suspect.Name && c.Running() })
		since, seen := s.seenRunning[suspect.Name]
		switch {
		case !runs:
			delete(s.seenRunning, suspect.Name)
		case !seen:
			s.seenRunning[suspect.Name] = time.Now()
		case time.Since(since) >= s.policy.Soak:
			_ = s.letGo(suspect, "no longer suspected: it runs, and the host lives")
		}
	}
}

// byOthers is the user-stopped list without the names that we put there.
func (s *Service) byOthers(stopped []string, q Quarantine) []string {
	return slices.DeleteFunc(slices.Clone(stopped), func(name string) bool {
		suspect, _ := q.Find(name)
		return suspect.Listed
	})
}

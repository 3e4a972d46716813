package daemon

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// judge makes of a crash of the host what there is to make of it, before anything is
// started. A crash of the service alone is no crash of the host: then the soak of
// those in flight begins anew.
func (s *suspects) judge(
	ctx context.Context, v recover.Verdict, explained <-chan recover.Verdict, view recover.View,
) recover.Quarantine {
	before, err := s.world.Store.Quarantine()
	if err != nil {
		s.board.note(stateDamaged,
			"the list of suspects cannot be read; the quarantined ones among them are on the user-stopped list", err)
	}
	crash, lost := s.world.Store.InFlight()
	if lost != nil {
		s.board.note(stateDamaged, "what was in flight cannot be read: if the host crashed, no container is suspected", lost)
	}
	now, judged := before, len(crash.Names) > 0
	switch {
	case v.Ending == recover.HostCrashed && len(crash.Names) == 0 && lost == nil:
		if len(before.Suspects.Held()) == 0 {
			s.quiet = true // its cause decides nothing about the starts
			break
		}
		now = quietly(before, awaitCause(v, explained))
	case !v.Unclean() || len(crash.Names) == 0:
	case crash.BootID == s.identity.BootID:
		s.flight.Resume(crash.Names, s.policy.Soak)
		judged = false
	default:
		if v := awaitCause(v, explained); inOrder(v.Cause) {
			s.world.Log.Info("no container is suspected: the host was shut down in order", "MESSAGE_ID", recover.MsgSuspect)
		} else {
			happened, unit := s.flown(ctx, crash, view)
			happened.Cause = v.Cause
			happened.Named = s.killed(v.Cgroup, view, unit)
			happened.Started = s.startedByOthers(v.Started, happened)
			now = before.Strike(happened, unit)
		}
	}
	examined := s.examine(ctx, now.Suspects, view)
	s.mu.Lock()
	defer s.mu.Unlock()
	now.Suspects = s.secondChances(now.Suspects, examined)
	now.Suspects = s.entries.marked(now.Suspects, crash.BootID)
	now.Suspects = undated(s.letGo(before.Suspects, now.Suspects))
	s.board.showBook(now)
	if !now.Same(before) && s.change(now) != nil {
		judged = false
	}
	s.entries.add(now.Suspects, crash.BootID)
	if judged {
		// Not earlier: a crash between the marker and here is judged by the next
		// run, which has to find these names. To judge it twice does no harm.
		_ = s.saveInFlight(nil)
	}
	logBook(s.world.Log, now, crash.BootID)
	if note := now.Note(); note != "" && !s.quiet { // else the crash is yet to be counted
		s.board.addNote(note)
	}
	return now.Suspects
}

// quietly judges a crash of the host at which nothing was in flight.
func quietly(book recover.Casebook, v recover.Verdict) recover.Casebook {
	if inOrder(v.Cause) || v.Previous == nil {
		return book
	}
	return book.CrashedQuietly(recover.Crash{BootID: v.Previous.BootID, Noticed: time.Now(), Cause: v.Cause})
}

// crashedQuietly takes up a crash of the host at which nothing was in flight, when the
// journal has said what it knows: the host may have been shut down in order.
func (s *suspects) crashedQuietly(v recover.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.board.currentBook()
	now := quietly(before, v)
	if !now.Same(before) {
		_ = s.change(now) // it is tried again at each look
	}
	if note := now.Note(); note != "" {
		s.world.Log.Warn(note, "MESSAGE_ID", recover.MsgSuspect)
		s.board.addNote(note)
	}
}

// letGo takes the names of those that are in quarantine no more off the user-stopped
// list. Where that fails it goes on in the list of suspects, as one that was only
// noted: the name is not the user's word.
func (s *suspects) letGo(before, now recover.Quarantine) recover.Quarantine {
	for _, suspect := range before.Those(func(s recover.Suspect) bool { return s.Listed }) {
		current, suspected := now.Find(suspect.Name)
		if current.Quarantined || suspected && !current.Listed {
			continue
		}
		if !suspected {
			s.world.Log.Warn("released from quarantine: the host crashed without it too",
				"MESSAGE_ID", recover.MsgReleased, "container", suspect.Name, "strikes", suspect.Strikes)
		}
		err := s.entries.remove(suspect)
		switch {
		case suspected:
			current.Listed = err != nil
			now = now.With(current)
		case err != nil:
			now = now.With(recover.Suspect{Name: suspect.Name, Noted: true, Listed: true})
		}
	}
	return now
}

// flown is a crash with all that was in flight, and what the starts of these may have
// brought along. unit is what starts each container, as far as that is known.
func (s *suspects) flown(
	ctx context.Context, crash recover.InFlight, view recover.View,
) (all recover.Crash, unit map[string]string) {
	unit = map[string]string{}
	named := map[string][]string{}
	for _, c := range s.board.currentSet().Containers {
		if u := cmp.Or(view.UnitOf(c.Name), c.Unit); u != "" {
			unit[c.Name] = u
			named[u] = append(named[u], c.Name)
		}
	}
	pulls, err := s.world.Systemd.Pulls(ctx, slices.Collect(maps.Keys(named)), true)
	if err != nil {
		s.world.Log.Info("it is not known what else was in flight", "MESSAGE_ID", recover.MsgSuspect, "reason", err)
	}
	byPodman := slices.DeleteFunc(slices.Clone(crash.Names), func(name string) bool { return unit[name] != "" })
	asking, stop := context.WithTimeout(ctx, causeWithin)
	defer stop()
	needs, err := s.world.host().Needs(asking, byPodman)
	if err != nil {
		s.world.Log.Info("it is not known what podman had in flight along", "MESSAGE_ID", recover.MsgSuspect, "reason", err)
	}
	all = recover.Crash{BootID: crash.BootID, Noticed: time.Now(), InFlight: slices.Sorted(slices.Values(crash.Names))}
	for _, name := range crash.Names {
		all.Along = slices.Concat(all.Along, named[unit[name]], needs[name])
		for _, pull := range pulls[unit[name]] {
			if pull.Starts {
				all.Along = append(all.Along, named[pull.Unit]...)
			}
		}
	}
	return all, unit
}

// startedByOthers are the containers of the set that were started within a soak before a crash
// and that recovery had not in flight: something else had started them.
func (s *suspects) startedByOthers(starts []recover.NearEnd, crash recover.Crash) (names []string) {
	known := slices.Concat(crash.InFlight, crash.Along)
	for _, start := range starts {
		near := start.Before <= s.policy.Soak && recover.HasName(s.board.currentSet().Containers, start.Name)
		if near && !slices.Contains(known, start.Name) {
			names, known = append(names, start.Name), append(known, start.Name)
		}
	}
	slices.Sort(names)
	return names
}

// killed is the container in a control group, "" if that is none of the set's, or of a
// unit that starts several.
func (s *suspects) killed(cgroup string, view recover.View, unit map[string]string) (name string) {
	parts := strings.Split(cgroup, "/")
	for _, c := range s.board.currentSet().Containers {
		sighting, _ := view.Sighting(c.Name)
		byID := sighting.ID != "" && strings.Contains(cgroup, sighting.ID)
		byUnit := unit[c.Name] != "" && slices.Contains(parts, unit[c.Name])
		switch {
		case byID:
			return c.Name
		case byUnit && name != "":
			return ""
		case byUnit:
			name = c.Name
		}
	}
	return name
}

// causeWithin is how long the journal may take to say why a host ended that left
// containers in flight: it may have been shut down in order, and not have crashed.
const causeWithin = 10 * time.Second

// awaitCause waits a while for the journal's word. Without it the cause is unknown.
func awaitCause(v recover.Verdict, explained <-chan recover.Verdict) recover.Verdict {
	timeout := time.NewTimer(causeWithin)
	defer timeout.Stop()
	select {
	case v := <-explained:
		return v
	case <-timeout.C:
		return v
	}
}

// inOrder reports whether the host was shut down in order, and only the service cut
// short.
func inOrder(c recover.Cause) bool {
	return c == recover.CauseShutdown || c == recover.CauseSoftBoot || c == recover.CauseKexec
}

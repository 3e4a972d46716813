package daemon

import (
	"slices"

	"archy-recovery/internal/recover"
)

// stopEntries are the entries on the user-stopped list that archy-recovery makes
// for quarantined containers. Other programs that start containers, such as a
// health monitor, know only that list. Suspect.Listed tells these entries from the
// user's: so that the user's stay when a suspect is cleared.
type stopEntries struct {
	store Store
	board *board
}

// edit puts a name on the list or takes it off.
func (e stopEntries) edit(name string, stopped bool) (changed bool, err error) {
	return e.store.EditUserStopped(func(names []string) []string {
		if slices.Contains(names, name) == stopped {
			return names
		}
		if !stopped {
			return slices.DeleteFunc(names, func(n string) bool { return n == name })
		}
		names = append(names, name)
		slices.Sort(names)
		return names
	})
}

// marked marks the containers that the crash of that boot quarantined as Listed,
// unless the user had put them on the list before.
func (e stopEntries) marked(q recover.Quarantine, boot string) recover.Quarantine {
	stopped, err := e.store.UserStopped()
	if err != nil {
		return q
	}
	for _, suspect := range q {
		if suspect.Quarantined && suspect.BootID == boot && !slices.Contains(stopped, suspect.Name) {
			suspect.Listed = true
			q = q.With(suspect)
		}
	}
	return q
}

// add puts the marked ones on the list, after the mark itself is on disk. Should
// the power fail in between, the same crash is judged again.
func (e stopEntries) add(q recover.Quarantine, boot string) {
	for _, suspect := range q {
		if suspect.Quarantined && suspect.Listed && suspect.BootID == boot {
			if _, err := e.edit(suspect.Name, true); err != nil {
				e.board.note(stateDamaged,
					"a quarantined container cannot be put on the user-stopped list; other programs may start it", err)
			}
		}
	}
}

// remove takes a suspect's name off the list, if archy-recovery put it there.
func (e stopEntries) remove(suspect recover.Suspect) error {
	if !suspect.Listed {
		return nil
	}
	_, err := e.edit(suspect.Name, false)
	if err != nil {
		e.board.note(stateDamaged, "a name that was quarantined stays on the user-stopped list", err)
	}
	return err
}

// withoutRemoved takes the mark from suspects whose name is on the list no more.
// If it comes back, the user has put it there.
func (e stopEntries) withoutRemoved(q recover.Quarantine) recover.Quarantine {
	stopped, err := e.store.UserStopped()
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

// byUser is the list without the marked names.
func (e stopEntries) byUser(stopped []string, q recover.Quarantine) []string {
	return slices.DeleteFunc(slices.Clone(stopped), func(name string) bool {
		suspect, _ := q.Find(name)
		return suspect.Listed
	})
}

package daemon

import (
	"context"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// goneFor is how long a suspect's container has to be gone before it is forgotten.
const goneFor = 24 * time.Hour

const clearGone clearance = "no longer suspected: there is no such container any more"

// tidy forgets what is kept for containers that are gone: the units that were generated
// for them, and that they are suspects. It is done at the snapshot timer's tick. Where
// podman lists nothing its storage may not be there, and nothing is forgotten.
func (k *keeper) tidy(ctx context.Context) {
	if len(k.listed) == 0 {
		return
	}
	if err := k.world.Systemd.RemoveGenerated(k.listed); err != nil {
		k.world.Log.Debug("units of containers that are gone cannot be removed", "error", err)
	}
	if gone := k.goneSuspects(time.Now()); len(gone) > 0 {
		k.forgetSuspects(ctx, gone)
	}
}

// goneSuspects names the suspects that have been gone for long: podman does not list
// them, and they are no members.
func (k *keeper) goneSuspects(now time.Time) (names []string) {
	members := k.board.currentSet().Containers
	since := map[string]time.Time{}
	for _, suspect := range k.board.currentSuspects() {
		if slices.Contains(k.listed, suspect.Name) || recover.HasName(members, suspect.Name) {
			continue
		}
		began, known := k.goneSince[suspect.Name]
		if !known {
			began = now
		}
		since[suspect.Name] = began
		if now.Sub(began) >= goneFor {
			names = append(names, suspect.Name)
		}
	}
	k.goneSince = since
	return names
}

// forgetSuspects clears those of the suspects that no installed unit runs either. The
// others are asked about once a day.
func (k *keeper) forgetSuspects(ctx context.Context, names []string) {
	for _, name := range names {
		delete(k.goneSince, name)
	}
	units, err := k.world.Systemd.ContainerUnits(ctx, nil)
	if err != nil {
		return
	}
	for _, name := range names {
		if !slices.ContainsFunc(units, func(u recover.ContainerUnit) bool { return u.Container.Name == name }) {
			k.suspects.forget(name)
		}
	}
}

// forget clears a suspect whose container is gone.
func (s *suspects) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if suspect, known := s.board.currentSuspects().Find(name); known {
		_ = s.clear(suspect, clearGone) // it is tried again after a day
	}
}

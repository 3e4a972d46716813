package daemon

import (
	"context"
	"fmt"

	"archy-recovery/internal/recover"
)

// Phase is where the service stands.
func (s *Service) Phase() recover.Phase { return s.board.currentPhase() }

// Status is the service as it stands, and a channel that closes when that
// changes.
func (s *Service) Status() (recover.Status, <-chan struct{}) { return s.board.status() }

// Reports returns the recoveries in the history, oldest first.
func (s *Service) Reports() ([]recover.Report, error) { return s.world.Store.Reports() }

// UserStopped is the list of names that are never started automatically.
func (s *Service) UserStopped() ([]string, error) { return s.world.Store.UserStopped() }

// SetUserStopped puts a name on the list or takes it off, and reports whether
// that changed anything. The container itself is neither stopped nor started. A look is to follow
// soon: what needs a container that was taken off may start.
func (s *Service) SetUserStopped(name string, stopped bool) (changed bool, err error) {
	if err := recover.CheckName(name); err != nil {
		return false, err
	}
	if changed, err = s.suspects.setUserStopped(name, stopped); err != nil {
		return false, err
	}
	if changed {
		s.world.Log.Info("user-stopped list changed",
			"MESSAGE_ID", recover.MsgUserStoppedSet, "container", name, "stopped", stopped)
		s.board.change(func() {})
		s.keeper.lookSoon()
	}
	return changed, nil
}

// Release takes a container out of quarantine. It is started again from the next
// recovery on, and not now. Its name goes off the user-stopped list, unless the
// user had put it there. ErrNotSuspected: there is no suspect of that name.
func (s *Service) Release(name string) error {
	if err := recover.CheckName(name); err != nil {
		return err
	}
	return s.suspects.release(name)
}

// TakeSnapshot brings the set on disk up to date with the host: a full check,
// asked for by the snapshot timer or an operator. It logs what the watch had not
// seen. An unchanged set is not written again.
func (s *Service) TakeSnapshot(ctx context.Context) (recover.Snapshot, error) {
	if s.Phase() != recover.Ready {
		return recover.Snapshot{}, ErrFrozen
	}
	s.history.checkClock()
	s.hurryForImages(ctx)
	return s.keeper.check(ctx)
}

// Preview is what would be started if the machine died now.
func (s *Service) Preview(ctx context.Context) recover.Preview {
	status, _ := s.Status()
	k := recover.Known{Set: status.Set.Containers, Quarantine: status.Quarantine}
	if status.State == recover.Assessing {
		k.Notes = append(k.Notes, "how the last run ended is still being assessed")
	}
	var err error
	if k.UserStopped, err = s.UserStopped(); err != nil {
		k.UserStoppedLost = true
		k.Notes = append(k.Notes, fmt.Sprintf("the user-stopped list cannot be read: %v", err))
	}
	if k.History, err = s.Reports(); err != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("the history cannot be read: %v", err))
	}
	return s.world.host().Preview(ctx, k, s.policy)
}

package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// Units that tell that the host leaves what it does (systemd.special(7)).
const (
	// shutdownTarget is started when the host, or a user's manager, goes down.
	shutdownTarget = "shutdown.target"
	// multiUserTarget is stopped then, too, and by `systemctl isolate rescue`.
	multiUserTarget = "multi-user.target"
)

// leaving reports whether the host, or the manager of the units, goes down or changes
// to another target: what is stopped then was not stopped by a user, and did not fall.
func (w World) leaving(ctx context.Context) (bool, error) {
	states, err := w.Systemd.States(ctx, []string{shutdownTarget, multiUserTarget})
	down := states[shutdownTarget]
	return down.Job == "start" || down.Active == "active" || states[multiUserTarget].Job == "stop", err
}

// goingDown is leaving, and true where that is not known.
func (s *starter) goingDown(ctx context.Context) bool {
	leaving, err := s.world.leaving(ctx)
	return err != nil || leaving
}

// leavingWithin bounds the question at the end of recovery.
const leavingWithin = 5 * time.Second

// cutShort returns why a recovery that has nothing more to start is not complete all the
// same. A shutdown cancels start jobs that wait, and stops containers: that looks as if
// someone had stopped them. Asked also when ctx has ended: our own stop comes with it.
func (s *starter) cutShort(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), leavingWithin)
	defer cancel()
	if leaving, err := s.world.leaving(asking); err == nil && leaving { // else the watch will tell
		return recover.ErrGoingDown
	}
	return nil
}

// leftover is what a run that has recovered leaves to the next one. unseen is why its
// last look at the set failed. What is on the user-stopped list is not left, and what is
// on the clean-boot list each boot starts.
func (b *board) leftover(p recover.Policy, userStopped []string, unseen error) recover.Leftover {
	restores := p.CleanBoot == recover.CleanBootRestore
	b.mu.Lock()
	defer b.mu.Unlock()
	owed := slices.DeleteFunc(b.report.Owed(b.set.Containers), func(name string) bool {
		return slices.Contains(userStopped, name)
	})
	otherwise := func(name string) bool { return restores || !p.CleanBootList.Match(name) }
	switch {
	case slices.ContainsFunc(owed, otherwise):
		return recover.LeftStarts
	case len(owed) > 0:
		return recover.LeftInBoot
	case unseen == nil, errors.Is(unseen, recover.ErrGoingDown) && (!restores || b.set.Of(b.identity)):
		return recover.LeftNothing // of a set of this boot the next one replays the rest
	case restores:
		return recover.LeftSet
	}
	return recover.LeftInBoot
}

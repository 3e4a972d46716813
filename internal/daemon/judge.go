package daemon

import (
	"context"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// judge strikes the containers that were in flight when the host crashed, before
// anything is started. A crash of the service alone is no crash of the host: then
// the soak of those in flight begins anew.
func (s *suspects) judge(
	ctx context.Context, v recover.Verdict, explained <-chan recover.Verdict, view recover.View,
) recover.Quarantine {
	before, err := s.world.Store.Quarantine()
	if err != nil {
		s.board.note(stateDamaged,
			"the list of suspects cannot be read; the quarantined ones among them are on the user-stopped list", err)
	}
	crash, err := s.world.Store.InFlight()
	if err != nil {
		s.board.note(stateDamaged, "what was in flight cannot be read: if the host crashed, no container is suspected", err)
	}
	now, judged := before, len(crash.Names) > 0
	switch {
	case !v.Unclean() || len(crash.Names) == 0:
	case crash.BootID == s.identity.BootID:
		s.flight.Resume(crash.Names, s.policy.Soak)
		judged = false
	case inOrder(explained):
		s.world.Log.Info("no container is suspected: the host was shut down in order", "MESSAGE_ID", recover.MsgSuspect)
	default:
		now = before.Strike(crash, time.Now())
	}
	examined := s.examine(ctx, now, view)
	s.mu.Lock()
	defer s.mu.Unlock()
	now = s.secondChances(now, examined)
	now = s.entries.marked(now, crash.BootID)
	if !slices.Equal(now, before) && s.save(now) != nil {
		judged = false
	}
	s.entries.add(now, crash.BootID)
	if judged {
		// Not earlier: a crash between the marker and here is judged by the next
		// run, which has to find these names. To judge it twice does no harm.
		_ = s.saveInFlight(nil)
	}
	s.board.showSuspects(now)
	for _, suspect := range now {
		if suspect.BootID == crash.BootID {
			logSuspect(s.world.Log, suspect)
		}
	}
	return now
}

// causeWithin is how long the journal may take to say that a host which left
// containers in flight was shut down in order, and did not crash.
const causeWithin = 10 * time.Second

// inOrder waits a while for the journal to say that the host was shut down in
// order, and only the service cut short.
func inOrder(explained <-chan recover.Verdict) bool {
	timeout := time.NewTimer(causeWithin)
	defer timeout.Stop()
	select {
	case v := <-explained:
		return v.Cause == recover.CauseShutdown || v.Cause == recover.CauseSoftBoot || v.Cause == recover.CauseKexec
	case <-timeout.C:
		return false
	}
}

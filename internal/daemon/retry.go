package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// Errors of Retry.
var (
	// ErrNotInRecovery: the recovery has no such container.
	ErrNotInRecovery = errors.New("no container of this recovery")
	// ErrCannotRetry: it is not to be tried now, or need not be.
	ErrCannotRetry = errors.New("not tried again")
)

// notReady is why nothing can be tried again before READY, and after the end of a run.
func notReady(why string) error { return fmt.Errorf("%w: %s", ErrCannotRetry, why) }

// askRunWithin bounds how long the engine may take for a step. It takes none that lasts.
const askRunWithin = 10 * time.Second

// askRun has the engine do something.
func (s *Service) askRun(ctx context.Context, do func(*engine.Run)) error {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	if run == nil {
		return notReady("recovery has not begun yet")
	}
	ctx, cancel := context.WithTimeout(ctx, askRunWithin)
	defer cancel()
	return run.Ask(ctx, func() { do(run) })
}

// Retry tries a container again now, or without a name all that failed or fell and are not up.
// It returns their names. ErrNotInRecovery and ErrCannotRetry say why not, and what to do.
func (s *Service) Retry(ctx context.Context, name string) (names []string, err error) {
	if name != "" {
		if err := s.mayRetry(name); err != nil {
			return nil, err
		}
	}
	if s.Phase() != recover.Ready {
		return nil, notReady("recovery is not complete; what fails in it is tried again after it")
	}
	asked := s.askRun(ctx, func(run *engine.Run) { names, err = run.Again(name) })
	var cannot *engine.CannotRetry
	switch {
	case errors.Is(asked, engine.ErrOver):
		return nil, notReady(asked.Error())
	case asked != nil:
		return nil, asked
	case errors.As(err, &cannot) && cannot.State == "":
		return nil, fmt.Errorf("%s: %w", name, ErrNotInRecovery)
	case err != nil:
		return nil, notReady(err.Error())
	}
	return names, nil
}

// mayRetry checks a name, and says if the user or a crash speaks against its start.
func (s *Service) mayRetry(name string) error {
	if err := recover.CheckName(name); err != nil {
		return err
	}
	stopped, err := s.world.Store.UserStopped()
	if err != nil {
		return fmt.Errorf("the user-stopped list cannot be read: %w", err)
	}
	if suspect, known := s.board.currentSuspects().Find(name); known && suspect.Quarantined {
		return notReady(name + " is in quarantine. Let it go: archy-recovery quarantine release " + name)
	}
	listed := s.suspects.byUser(stopped)
	if slices.Contains(listed, name) {
		return notReady(name + " is on the user-stopped list. Take it off: archy-recovery user-stopped remove " + name)
	}
	status, _ := s.board.status()
	rows := status.Recovery.Rows
	i := recover.IndexRow(rows, name)
	if i < 0 || rows[i].State != recover.RowNeedsStopped {
		return nil
	}
	allowed := func(needed string) bool { return !slices.Contains(listed, needed) }
	if stopped := slices.DeleteFunc(slices.Clone(rows[i].Stopped), allowed); len(stopped) > 0 {
		return notReady(name + " " + (&recover.NeedsStopped{Names: stopped}).Error() +
			". Allow that: archy-recovery user-stopped remove " + strings.Join(stopped, " "))
	}
	return nil
}

// Hold keeps retries and paroles for some time, 0 for not any longer. It returns until when.
func (s *Service) Hold(ctx context.Context, d time.Duration) time.Time {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	s.hold.set(until)
	text := "nothing is held any more: what failed is tried again"
	if d > 0 {
		text = fmt.Sprintf("held for %s: nothing is tried again by itself", d.Round(time.Second))
	}
	s.world.Log.Info(text, "MESSAGE_ID", recover.MsgHold)
	_ = s.askRun(ctx, func(run *engine.Run) { run.Hold(until) }) // else it is asked when it begins
	return until
}

// tellRun tells the engine what a look has seen, if something may be tried again.
func (s *Service) tellRun(ctx context.Context, seen engine.Sight) {
	status, _ := s.board.status()
	mayStart := func(row recover.Row) bool { return row.IsRetried() || row.State == recover.RowNeedsStopped }
	if status.State == recover.Ready && slices.ContainsFunc(status.Recovery.Rows, mayStart) {
		_ = s.askRun(ctx, func(run *engine.Run) { run.See(seen) }) // the next look tells it again
	}
}

// hurryForImages has containers tried at once whose image has come. It is asked at the timer's
// tick, for a host whose units do not watch for images.
func (s *Service) hurryForImages(ctx context.Context) {
	status, _ := s.board.status()
	for _, row := range status.Recovery.Rows {
		last := row.LastAttempt()
		lacks := last != nil && last.Why != nil && lacksImage(last.Why.Reason)
		if !lacks || !row.IsRetried() || row.Image == "" {
			continue
		}
		if has, err := s.world.Podman.HasImage(ctx, row.Image); err == nil && has {
			_ = s.askRun(ctx, func(run *engine.Run) { run.Hurry(row.Name) }) // its back-off goes on
		}
	}
}

// unrecovered are the members of the set that recovery has not brought up in this boot: a
// daemon that is started again goes on with them.
func (s *Service) unrecovered(snapshot *recover.Snapshot) []recover.Container {
	return slices.DeleteFunc(slices.Clone(snapshot.Containers), func(c recover.Container) bool {
		return !c.Unrecovered || c.Job
	})
}

// resumed are the rows of a daemon that was started again in order: what the recovery of this
// boot left down, with the tries that it had, and what waits for the user. They are not started
// at once.
func (s *Service) resumed(rows []recover.Row) []recover.Row {
	before := s.history.ofThisBoot()
	rows = slices.DeleteFunc(rows, func(row recover.Row) bool {
		retried := row.State == recover.RowQueued && s.policy.RetryAfterReady
		return !retried && row.State != recover.RowNeedsStopped
	})
	for i := range rows {
		row := &rows[i]
		waits := row.State == recover.RowNeedsStopped
		if !waits {
			row.State, row.Error = recover.RowFailed, "it was not up when the service was started again"
		}
		n := recover.IndexRow(before.Rows, row.Name)
		if n < 0 {
			continue
		}
		was := before.Rows[n]
		row.Attempts, row.Dropped, row.Waits, row.Restarts = was.Attempts, was.Dropped, was.Waits, was.Restarts
		row.Queued, row.Retry = was.Queued, was.Retry
		if waits {
			continue
		}
		if was.State == recover.RowFell {
			row.State = was.State
		}
		if was.State.FailedOrFell() {
			row.Error = was.Error
		}
	}
	return rows
}

package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// cleanedUpWithin is how long podman may take to notice the end of a container, and to
// clean up after it or start it again.
const cleanedUpWithin = 15 * time.Second

// Await returns what has become of the container of a row that was started, when that
// differs from last. What cannot be asked is LifeUnknown, and never an end. Of the restarts
// only those since our start count.
//
// One such call waits for each container that is followed, so what is on its stack while it
// waits is kept small.
func (s *starter) Await(ctx context.Context, row *recover.Row, last recover.Life) (recover.Life, error) {
	if s.knows(row.Name).unasked {
		engine.Sleep(ctx, askAgain)
	}
	last.Restarts += s.knows(row.Name).restarts
	life, err := s.await(ctx, row, last)
	return s.hear(ctx, row.Name, last.Restarts, life, err)
}

// hear takes up the life that Await has found, or why it cannot be asked. restarts is how many
// there were in the last life.
func (s *starter) hear(
	ctx context.Context, name string, restarts int, life recover.Life, err error,
) (recover.Life, error) {
	ended := life.State == recover.LifeStopped || life.State == recover.LifeEnded // systemd kills a scope, too
	if err == nil && ended && s.goingDown(ctx) {
		err = recover.ErrGoingDown
	}
	if ctx.Err() != nil {
		return recover.Life{}, ctx.Err()
	}
	if err != nil {
		s.world.Log.Debug("what became of the container cannot be asked", "container", name, "error", err)
		life = recover.Life{State: recover.LifeUnknown, Restarts: restarts}
	}
	s.learn(name, func(c *startedContainer) {
		c.unasked = err != nil
		if life.Restarts < c.restarts { // a start by hand has reset the count
			c.restarts = 0
		}
		life.Restarts -= c.restarts
		if life.Invocation != "" {
			c.invocation = life.Invocation
		}
		if life.State == recover.LifeEnded || life.State == recover.LifeRestarting {
			c.exitStatus, c.mainPID = life.ExitCode, life.MainPID
		}
	})
	s.lives(name, life)
	return life, nil
}

func (s *starter) await(ctx context.Context, row *recover.Row, last recover.Life) (recover.Life, error) {
	if row.Unit == "" || row.Generated || s.knows(row.Name).outlives {
		return s.awaitPlain(ctx, row.Name, last)
	}
	life, err := s.world.Systemd.AwaitLife(ctx, row.Unit, last)
	ended := life.State == recover.LifeEnded && life.Because == "" // else its unit's ExecStop= has told podman
	if err == nil && ended && s.toldToStop(ctx, row.Name, life) {
		life.State = recover.LifeStopped
	}
	return life, err
}

// awaitPlain is await for a container without a unit of its own.
func (s *starter) awaitPlain(ctx context.Context, name string, last recover.Life) (recover.Life, error) {
	if last.State == recover.LifeRestarting || s.knows(name).unasked {
		// It may have changed already.
		return s.lifeByPodman(ctx, name, last)
	}
	id, err := s.idOf(ctx, name)
	if errors.Is(err, recover.ErrNoContainer) {
		return recover.Life{State: recover.LifeEnded, Restarts: last.Restarts}, nil
	}
	if err != nil {
		return recover.Life{}, err
	}
	for {
		if err := s.world.Systemd.AwaitScopeEnd(ctx, id); err != nil {
			return recover.Life{}, err
		}
		life, err := s.lifeByPodman(ctx, name, last)
		if err != nil || life != last {
			return life, err
		}
		engine.Sleep(ctx, askAgain) // it runs without a scope, as with --cgroups=disabled
		if ctx.Err() != nil {
			return recover.Life{}, ctx.Err()
		}
	}
}

// toldToStop reports whether podman was told to stop the container of a unit that has
// ended. Its events say so. Its container does not: that of Quadlet is gone by now, and
// the unit of "podman generate systemd" stops also one that has ended (ExecStopPost=).
func (s *starter) toldToStop(ctx context.Context, name string, end recover.Life) bool {
	if end.ExitCode != recover.UnknownExit && !slices.Contains(recover.StopCodes, end.ExitCode) {
		return false
	}
	engine.Sleep(ctx, lookAgain) // podman and the journal may take a moment
	events, err := s.world.Journal.EventsOf(ctx, s.suspects.identity.BootID, s.knows(name).began,
		[]recover.Container{{Name: name}})
	if err != nil {
		s.world.Log.Debug("whether podman stopped the container cannot be read", "container", name, "error", err)
	}
	told := false
	for _, event := range events {
		switch e := event.(type) {
		case recover.ContainerStarted:
			told = told && e.Name != name
		case recover.ContainerStopped:
			told = told || e.Name == name
		}
	}
	return told
}

// idOf is podman's ID of a container.
func (s *starter) idOf(ctx context.Context, name string) (string, error) {
	if id := s.knows(name).id; id != "" {
		return id, nil
	}
	now, err := s.world.Podman.Inspect(ctx, name)
	if err != nil {
		return "", err
	}
	s.learn(name, func(c *startedContainer) { c.id = now.ID })
	return now.ID, nil
}

// lifeByPodman asks podman what became of a container without a unit of its own. A
// container that has ended is stopped until podman has cleaned up, and then it has
// exited, or podman's restart policy has started it again.
func (s *starter) lifeByPodman(ctx context.Context, name string, last recover.Life) (recover.Life, error) {
	for until := time.Now().Add(cleanedUpWithin); ; {
		now, err := s.world.Podman.Inspect(ctx, name)
		switch {
		case errors.Is(err, recover.ErrNoContainer): // it was removed
			return recover.Life{State: recover.LifeEnded, Restarts: last.Restarts}, nil
		case err != nil:
			return recover.Life{}, err
		}
		life := recover.Life{State: recover.LifeRuns, Restarts: now.Restarts}
		switch {
		case now.Running() && now.Restarts > last.Restarts:
			life.State = recover.LifeRestarting
			return life, nil
		case now.Running():
			return life, nil
		case now.State == recover.StateExited || now.State == recover.StateRemoving || time.Now().After(until):
			return s.endByPodman(ctx, name, now)
		}
		engine.Sleep(ctx, lookAgain)
		if ctx.Err() != nil {
			return recover.Life{}, ctx.Err()
		}
	}
}

// lookAgain is how long podman is left alone while it cleans up.
const lookAgain = 200 * time.Millisecond

// endByPodman tells the end of a container.
func (s *starter) endByPodman(ctx context.Context, name string, now recover.Sighting) (recover.Life, error) {
	stopped := now.StoppedByUser
	if !stopped {
		var err error
		if stopped, err = s.world.Podman.StoppedByUser(ctx, name); err != nil {
			return recover.Life{}, err
		}
	}
	life := recover.Life{State: recover.LifeEnded, Restarts: now.Restarts, ExitCode: now.ExitCode,
		OOMKilled: now.OOMKilled}
	if stopped {
		life.State = recover.LifeStopped
	}
	return life, nil
}

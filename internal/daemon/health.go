package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/survey"
)

const (
	// checkPause lies between the first runs of a container's health check. Later an eighth of
	// the time so far does, up to checkPauseMost: so a check is seen to pass at most that late.
	checkPause, checkPauseMost = 200 * time.Millisecond, 2 * time.Second
	// checkAtLeast is the time that each run has, whatever the check's own time limit is: a
	// command that hangs goes on in its container, and must not pile up there.
	checkAtLeast = 10 * time.Second
	// checksAtOnce bounds the checks that run side by side. Each starts processes, while
	// other containers are being started.
	checksAtOnce = 4
	// placeFor is how long a check keeps its place. One that hangs keeps no other waiting.
	placeFor = time.Second
)

// checks are the health checks that recovery itself runs. podman would run the first one
// only an interval after the start, 30 s by default. They count for nothing in podman: a
// failure there can kill the container (podman-run(1), --health-on-failure).
type checks struct {
	podman recover.Podman
	places chan struct{}
}

func newChecks(podman recover.Podman) *checks {
	return &checks{podman: podman, places: make(chan struct{}, checksAtOnce)}
}

// AwaitHealthy runs the health check of a row's container until it passes, and then has
// podman run its own. It tells when the first run has failed, and when one has passed. It
// returns early if there is no check, if the container has ended, or if podman cannot be
// asked: that delays nothing.
func (s *starter) AwaitHealthy(ctx context.Context, row recover.Row, tell func(recover.RowHealth)) {
	// A unit of the operator's may make its container anew. After READY anybody may, and the configs are forgotten.
	if config, known := s.configs.Known(row.Name); known && !config.HealthCheck && row.Generated {
		return
	}
	health, err := s.checks.podman.Health(ctx, row.Name)
	if err != nil || health.Command == nil || !health.Running {
		return
	}
	if health.Passed {
		tell(recover.HealthPassed)
		return
	}
	if err := s.checks.await(ctx, row.Name, health, func() { tell(recover.HealthAwaited) }); err != nil {
		s.world.Log.Debug("the container's health is not waited for any longer", "container", row.Name, "error", err)
		return
	}
	tell(recover.HealthPassed)
	if err := s.checks.podman.RunHealthCheck(ctx, row.Name); err != nil {
		s.world.Log.Debug("podman's own health check did not run", "container", row.Name, "error", err)
	}
}

var errEnded = errors.New("the container has ended")

// await returns nil when a check has passed. It calls fails when the first one has not.
func (c *checks) await(ctx context.Context, name string, health recover.Health, fails func()) error {
	limit := max(health.Timeout, checkAtLeast)
	began, pause := time.Now(), checkPause
	for ; ; pause = min(max(checkPause, time.Since(began)/8), checkPauseMost) {
		passed, err := c.try(ctx, name, health.Command, limit)
		switch {
		case passed:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, recover.ErrNoContainer):
			return err
		}
		fails()
		fails = func() {}
		engine.Sleep(ctx, pause)
		if pause < checkPauseMost && err == nil {
			continue
		}
		// Perhaps podman's own check has passed where ours cannot, or the container has ended.
		now, err := c.podman.Health(ctx, name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case survey.NotInTime(err):
		case err != nil:
			return err
		case now.Passed:
			return nil
		case !now.Running:
			return errEnded
		}
	}
}

// try runs the command of a check once.
func (c *checks) try(ctx context.Context, name string, command []string, limit time.Duration) (bool, error) {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	leave := sync.OnceFunc(func() { <-c.places })
	defer leave()
	defer time.AfterFunc(placeFor, leave).Stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.podman.TryHealth(ctx, name, command)
}

package recover

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// A starter starts containers for a Run.
type starter struct{ *Service }

// Start starts a row's container. Where its unit could not be found before, it
// is looked for again.
func (s starter) Start(ctx context.Context, row Row) (Outcome, error) {
	// Asked again: someone may have said so since the plan was made.
	stopped, err := s.Store.UserStopped()
	if err != nil {
		return Outcome{}, fmt.Errorf("the user-stopped list cannot be read: %w", err)
	}
	s.mu.Lock()
	suspects := s.suspects
	s.mu.Unlock()
	if slices.Contains(s.byOthers(stopped, suspects), row.Name) {
		return Outcome{}, ErrUserStopped
	}
	if row.Unit == "" {
		c := []Container{{Name: row.Name}}
		found := Resolve(ctx, c, Look(ctx, s.Podman, s.Systemd, c), s.Podman, s.Systemd)[row.Name]
		if found.Err != nil {
			return Outcome{}, found.Err
		}
		if found.Unit == "" {
			return Outcome{}, errors.New("podman does not know it and no unit runs it")
		}
		row.Unit, row.Generated = found.Unit, found.Generated
	}
	if points := s.notMounted(ctx, row); len(points) > 0 {
		return Outcome{Unit: row.Unit, Generated: row.Generated}, &NotMounted{points}
	}
	if other := s.mistaken(ctx, row.Name); other != "" {
		return Outcome{Unit: row.Unit, Generated: row.Generated}, fmt.Errorf(
			"podman would take %s for it, whose ID begins with %s, and replace that: rename one of them", other, row.Name)
	}
	first := len(row.Attempts) < 2
	ended := first && row.Ending && s.awaitEnd(ctx, row.Unit)
	if s.stopped(ctx, row.Unit, ended) {
		return Outcome{Unit: row.Unit, Job: "canceled", UnitState: UnitState{Active: "inactive"}}, nil
	}
	if !first {
		s.reset(ctx, row.Unit)
	}
	outcome, err := s.Systemd.Start(ctx, row.Unit)
	outcome.Unit, outcome.Generated = row.Unit, row.Generated
	if err == nil && outcome.Job == "done" && outcome.Active == "inactive" && !outcome.ConditionFailed && s.runs(ctx, row.Name) {
		// A unit that only starts its container, and is done then: ours, and
		// those of people who write Type=oneshot.
		outcome.Active = "active"
	}
	if err == nil && outcome.Active == "active" && row.Ending && s.ended(ctx, row.Name) {
		err = errors.New("its unit stays active, though the container has ended")
	}
	if err == nil && outcome.Active == "active" && s.policy.WaitFor == WaitForHealthy {
		err = s.awaitHealthy(ctx, row.Name)
	}
	return outcome, err
}

// AwaitMounts returns when all of the mount points are mounted.
func (s starter) AwaitMounts(ctx context.Context, points []string) error {
	return s.Systemd.AwaitMounts(ctx, points)
}

func (s starter) awaitHealthy(ctx context.Context, name string) error {
	err := s.Podman.AwaitHealthy(ctx, name)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it runs, but it did not become healthy in time")
	}
	return err
}

// endWithin bounds the wait for the end of a unit whose container has died.
const endWithin = 10 * time.Second

// awaitEnd waits for the end of a unit whose container has died, and reports
// whether it came. systemd calls it active until podman has cleaned up, and to start
// it then does nothing.
func (s starter) awaitEnd(ctx context.Context, unit string) bool {
	waiting, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	err := s.Systemd.AwaitEnd(waiting, unit)
	if err != nil {
		s.Log.Debug("the unit's end cannot be awaited", "unit", unit, "error", err)
	}
	return err == nil
}

// stopped reports whether someone is stopping a unit, which our start would
// undo, or, of one that has ended while we waited, whether that was a stop.
func (s starter) stopped(ctx context.Context, unit string, ended bool) bool {
	states, err := s.Systemd.States(ctx, []string{unit})
	now := states[unit]
	return err == nil && (now.Job == "stop" || ended && now.Active == "inactive" && !now.returns())
}

// mistaken names the container that podman would take for the one of that name:
// what is no name, it takes for the beginning of an ID. A Quadlet container is
// gone after a boot, and `podman run --replace --name db` then removes the
// container whose ID begins with db, whatever that runs. (podman 5.4, libpod's
// LookupContainer)
func (s starter) mistaken(ctx context.Context, name string) string {
	if strings.Trim(name, "0123456789abcdef") != "" {
		return ""
	}
	list, err := s.Podman.List(ctx)
	if err != nil || slices.ContainsFunc(list, func(c Sighting) bool { return c.Name == name }) {
		return ""
	}
	i := slices.IndexFunc(list, func(c Sighting) bool { return strings.HasPrefix(c.ID, name) })
	if i < 0 {
		return ""
	}
	return list[i].Name
}

// ended reports whether podman says that a container does not run.
func (s starter) ended(ctx context.Context, name string) bool {
	list, err := s.Podman.List(ctx)
	return err == nil && !slices.ContainsFunc(list, func(c Sighting) bool { return c.Name == name && c.Running() })
}

// reset has systemd forget how often a unit was started: it refuses to start
// one that reached its limit (StartLimitBurst= of systemd.unit(5)), and says so in
// no property of one that had failed before. Once a recovery, before the second
// attempt.
func (s starter) reset(ctx context.Context, unit string) {
	if err := s.Systemd.ResetFailed(ctx, unit); err != nil {
		s.Log.Debug("the unit's failure cannot be reset", "unit", unit, "error", err)
	}
}

// notMounted lists the mount points that are configured, not mounted, and
// above what the container needs: it would be started into an empty directory.
func (s starter) notMounted(ctx context.Context, row Row) []string {
	points, err := s.Systemd.NotMounted(ctx)
	if err != nil || len(points) == 0 {
		return nil
	}
	// A Quadlet container is gone, and its unit knows; a plain one has no unit
	// that does. What cannot be asked holds up nothing.
	binds, _ := s.Podman.Binds(ctx, row.Name)
	needed, _ := s.Systemd.MountsNeeded(ctx, row.Unit)
	paths := append(binds, needed...)
	return slices.DeleteFunc(points, func(point string) bool {
		return !slices.ContainsFunc(paths, func(p string) bool { return below(p, point) })
	})
}

// below reports whether a path is point or lies under it.
func below(p, point string) bool {
	p, point = path.Clean(p), path.Clean(point)
	return p == point || strings.HasPrefix(p, strings.TrimSuffix(point, "/")+"/")
}

// runs asks podman whether a container runs.
func (s *Service) runs(ctx context.Context, name string) bool {
	list, err := s.Podman.List(ctx)
	return err == nil && slices.ContainsFunc(list, func(c Sighting) bool { return c.Name == name && c.Running() })
}

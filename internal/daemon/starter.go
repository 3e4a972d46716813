package daemon

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// A starter starts containers for the engine.
type starter struct {
	world    World
	policy   recover.Policy
	suspects *suspects
}

// Start starts a row's container: first what may veto that, then the start, then
// the confirmation that the container is up.
func (s starter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	if err := s.vetoUserStopped(row.Name); err != nil {
		return recover.Outcome{}, err
	}
	if err := s.findUnit(ctx, &row); err != nil {
		return recover.Outcome{}, err
	}
	none := recover.Outcome{Unit: row.Unit, Generated: row.Generated}
	if err := s.vetoNotMounted(ctx, row); err != nil {
		return none, err
	}
	if err := s.vetoIDPrefix(ctx, row.Name); err != nil {
		return none, err
	}
	first := len(row.Attempts) < 2
	if s.stopped(ctx, row.Unit, first && row.Ending) {
		none.Job, none.UnitState = "canceled", recover.UnitState{Active: "inactive"}
		return none, nil
	}
	if !first {
		s.reset(ctx, row.Unit)
	}
	outcome, err := s.world.Systemd.Start(ctx, row.Unit)
	outcome.Unit, outcome.Generated = row.Unit, row.Generated
	if err != nil {
		return outcome, err
	}
	return s.confirm(ctx, row, outcome)
}

// AwaitMounts returns when all of the mount points are mounted.
func (s starter) AwaitMounts(ctx context.Context, points []string) error {
	return s.world.Systemd.AwaitMounts(ctx, points)
}

// vetoUserStopped reads the user-stopped list again: the name may have come onto
// it since the plan was made.
func (s starter) vetoUserStopped(name string) error {
	stopped, err := s.world.Store.UserStopped()
	if err != nil {
		return fmt.Errorf("the user-stopped list cannot be read: %w", err)
	}
	if slices.Contains(s.suspects.byUser(stopped), name) {
		return recover.ErrUserStopped
	}
	return nil
}

// findUnit looks again for the unit of a row that has none yet.
func (s starter) findUnit(ctx context.Context, row *recover.Row) error {
	if row.Unit != "" {
		return nil
	}
	want, host := []recover.Container{{Name: row.Name}}, s.world.host()
	found := host.Resolve(ctx, want, host.Look(ctx, want))[row.Name]
	if found.Err != nil {
		return found.Err
	}
	if found.Unit == "" {
		return errors.New("podman does not know it and no unit runs it")
	}
	row.Unit, row.Generated = found.Unit, found.Generated
	return nil
}

// vetoNotMounted returns a *engine.NotMounted with the mount points that are
// configured, not mounted, and above what the container needs: it would be started
// into an empty directory.
func (s starter) vetoNotMounted(ctx context.Context, row recover.Row) error {
	points, err := s.world.Systemd.NotMounted(ctx)
	if err != nil || len(points) == 0 {
		return nil
	}
	// A Quadlet container is gone, and its unit knows; a plain one has no unit
	// that does. What cannot be asked delays nothing.
	binds, _ := s.world.Podman.Binds(ctx, row.Name)
	needed, _ := s.world.Systemd.MountsNeeded(ctx, row.Unit)
	paths := append(binds, needed...)
	points = slices.DeleteFunc(points, func(point string) bool {
		return !slices.ContainsFunc(paths, func(p string) bool { return below(p, point) })
	})
	if len(points) == 0 {
		return nil
	}
	return &engine.NotMounted{Points: points}
}

// below reports whether a path is point or lies under it.
func below(p, point string) bool {
	p, point = path.Clean(p), path.Clean(point)
	return p == point || strings.HasPrefix(p, strings.TrimSuffix(point, "/")+"/")
}

// vetoIDPrefix refuses a name that podman would take for another container: podman
// takes what is no name for the beginning of an ID. A Quadlet container is gone
// after a boot, and `podman run --replace --name db` then removes the container
// whose ID begins with db, whatever that runs. (podman 5.4, libpod's
// LookupContainer)
func (s starter) vetoIDPrefix(ctx context.Context, name string) error {
	if strings.Trim(name, "0123456789abcdef") != "" {
		return nil
	}
	list, known := s.list(ctx)
	if _, exists := list.Find(name); !known || exists {
		return nil
	}
	other, found := list.WithIDPrefix(name)
	if !found {
		return nil
	}
	return fmt.Errorf("name %q is a prefix of the ID of container %s; podman would replace that one. Rename one of them",
		name, other.Name)
}

// endWithin bounds the wait for the end of a unit whose container has died.
const endWithin = 10 * time.Second

// stopped reports whether something else is stopping a unit, which our start would
// undo. If the container is ending, it waits for its unit to end first, and also
// reports whether that end was a stop: systemd calls the unit active until podman
// has cleaned up, and to start it then does nothing.
func (s starter) stopped(ctx context.Context, unit string, ending bool) bool {
	ended := ending && s.awaitEnd(ctx, unit)
	states, err := s.world.Systemd.States(ctx, []string{unit})
	now := states[unit]
	return err == nil && (now.Job == "stop" || ended && now.Active == "inactive" && !now.Returning())
}

// awaitEnd waits for the end of a unit, and reports whether it came.
func (s starter) awaitEnd(ctx context.Context, unit string) bool {
	waiting, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	err := s.world.Systemd.AwaitEnd(waiting, unit)
	if err != nil {
		s.world.Log.Debug("the unit's end cannot be awaited", "unit", unit, "error", err)
	}
	return err == nil
}

// reset has systemd forget how often a unit was started: it refuses to start
// one that reached its limit (StartLimitBurst= of systemd.unit(5)), and says so in
// no property of one that had failed before. Once a recovery, before the second
// attempt.
func (s starter) reset(ctx context.Context, unit string) {
	if err := s.world.Systemd.ResetFailed(ctx, unit); err != nil {
		s.world.Log.Debug("the unit's failure cannot be reset", "unit", unit, "error", err)
	}
}

// confirm compares what systemd says of the unit after its start with what podman
// says of the container.
func (s starter) confirm(ctx context.Context, row recover.Row, outcome recover.Outcome) (recover.Outcome, error) {
	if outcome.Job == "done" && outcome.Active == "inactive" && !outcome.ConditionFailed {
		// A unit that only starts its container and is done then: a generated one, or
		// one with Type=oneshot.
		if list, known := s.list(ctx); known && list.Running(row.Name) {
			outcome.Active = "active"
		}
	}
	if outcome.Active != "active" {
		return outcome, nil
	}
	if row.Ending {
		if list, known := s.list(ctx); known && !list.Running(row.Name) {
			return outcome, errors.New("its unit stays active, though the container has ended")
		}
	}
	if s.policy.WaitFor == recover.WaitForHealthy {
		return outcome, s.awaitHealthy(ctx, row.Name)
	}
	return outcome, nil
}

func (s starter) awaitHealthy(ctx context.Context, name string) error {
	err := s.world.Podman.AwaitHealthy(ctx, name)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it runs, but it did not become healthy in time")
	}
	return err
}

// list is what podman lists, and whether it answered.
func (s starter) list(ctx context.Context) (list recover.Sightings, known bool) {
	list, err := s.world.Podman.List(ctx)
	return list, err == nil
}

// Await returns when ctx ends: what becomes of a container is not asked yet.
func (s starter) Await(ctx context.Context, _ recover.Row, _ recover.Life) (recover.Life, error) {
	<-ctx.Done()
	return recover.Life{}, ctx.Err()
}

// Explain says nothing yet.
func (s starter) Explain(context.Context, recover.Row) recover.Explanation {
	return recover.Explanation{}
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/survey"
)

// A starter starts containers for the engine, and tells what becomes of them.
type starter struct {
	world    World
	policy   recover.Policy
	suspects *suspects
	// lives is told of each Life at once.
	lives   func(name string, life recover.Life)
	words   *words
	network *network
	checks  *checks
	checkup *checkup
	// replayed is when the journal was read for what had died before.
	replayed time.Duration
	// doubtful names the containers that died, and that podman has yet to say of whether they were stopped.
	doubtful map[string]bool
	// unsure names the containers that may not exist.
	unsure map[string]bool
	// tied is the user-stopped list that the plan's rows heed, nil if they heed none.
	tied *[]string
	// configs are what podman said of containers for the plan.
	configs *survey.Configs

	mu sync.Mutex
	// known is what is known of a container that was started, by name.
	known map[string]startedContainer
}

// A startedContainer is what is known of a container beside its row.
type startedContainer struct {
	// id is podman's ID of a container without a unit of its own, "" if not known.
	id string
	// outlives: its unit only starts it and has ended; the container runs on.
	outlives bool
	// began is when its last attempt began, as the journal has it.
	began time.Duration
	// invocation, exitStatus and mainPID are those of its unit, or of its last end.
	invocation string
	exitStatus int
	mainPID    int
	// unasked: what became of it could not be asked.
	unasked bool
	// restarts is how often systemd or podman had started it again before our start.
	restarts int
	// enabled: its unit was enabled when it first failed.
	enabled bool
}

// newStarter returns a starter. ids are podman's IDs of containers, as far as they are known.
func newStarter(
	w World, p recover.Policy, book *suspects, ids map[string]string, lives func(string, recover.Life),
) *starter {
	s := &starter{world: w, policy: p, suspects: book, lives: lives, words: &words{world: w, boot: book.identity.BootID},
		network: &network{systemd: w.Systemd}, checks: newChecks(w.Podman), known: map[string]startedContainer{}}
	for name, id := range ids {
		s.known[name] = startedContainer{id: id}
	}
	return s
}

// learn changes what is known of a container.
func (s *starter) learn(name string, change func(*startedContainer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.known[name]
	change(&c)
	s.known[name] = c
}

// knows is what is known of a container.
func (s *starter) knows(name string) startedContainer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name]
}

// Start starts a row's container: first what may veto that, then the start, then
// the confirmation that the container is up. Errors are those of engine.Starter.
func (s *starter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	s.learn(row.Name, func(c *startedContainer) {
		*c = startedContainer{id: c.id, began: s.world.Journal.Now(), enabled: c.enabled}
	})
	userStopped, err := s.vetoUserStopped(row.Name)
	if err != nil {
		return recover.Outcome{}, err
	}
	if err := s.world.storage.check(ctx); err != nil {
		return recover.Outcome{}, err
	}
	planned := row.Unit
	switch runs, err := s.findUnit(ctx, &row); {
	case err != nil:
		return recover.Outcome{}, err
	case runs:
		return recover.Outcome{Job: "done", UnitState: recover.UnitState{Active: "active"}}, nil
	}
	none := recover.Outcome{Unit: row.Unit, Generated: row.Generated}
	again := row.Retry != nil && len(row.Stopped) > 0 // the plan has not heeded what is stopped once more
	if again || planned != row.Unit || s.tied == nil || !slices.Equal(*s.tied, userStopped) {
		if err := s.vetoAlong(ctx, &row, userStopped); err != nil {
			none.Stopped = row.Stopped
			return none, err
		}
		none.Stopped = row.Stopped
	}
	if err := s.vetoRetry(ctx, row); err != nil {
		return none, err
	}
	if err := s.vetoNotMounted(ctx, row); err != nil {
		return none, err
	}
	if err := s.vetoIDPrefix(ctx, row.Name); err != nil {
		return none, err
	}
	if byHand := row.Retry != nil && row.Retry.ByHand; !byHand {
		if damaged := s.checkup.soFar().damaged(row, s.knows(row.Name).id); damaged != nil {
			return none, damaged
		}
	}
	first := len(row.Attempts) < 2
	if s.stopped(ctx, row, first && row.Ending) {
		if s.goingDown(ctx) {
			return none, recover.ErrGoingDown
		}
		none.Job, none.UnitState = "canceled", recover.UnitState{Active: "inactive"}
		return none, nil
	}
	if !first && row.Retry == nil { // after READY a start limit is the operator's word
		s.reset(ctx, row.Unit)
	}
	outcome, err := s.startUnit(ctx, row)
	if err == nil && outcome.Job == "canceled" && s.goingDown(ctx) {
		err = recover.ErrGoingDown // no user canceled it
	}
	outcome.Unit, outcome.Generated, outcome.Stopped = row.Unit, row.Generated, none.Stopped
	s.learn(row.Name, func(c *startedContainer) {
		c.invocation, c.exitStatus, c.mainPID = outcome.Invocation, outcome.ExitStatus, outcome.MainPID
	})
	if err != nil {
		return outcome, err
	}
	return s.confirm(ctx, row, outcome)
}

// AwaitMounts returns when all of the mount points are mounted.
func (s *starter) AwaitMounts(ctx context.Context, points []string) error {
	return s.world.Systemd.AwaitMounts(ctx, points)
}

// vetoUserStopped reads the user-stopped list again: the name may have come onto
// it since the plan was made. It returns the names that the user put there.
func (s *starter) vetoUserStopped(name string) (byUser []string, err error) {
	stopped, err := s.world.Store.UserStopped()
	if err != nil {
		return nil, unaskedError{fmt.Errorf("the user-stopped list cannot be read: %w", err)}
	}
	byUser = s.suspects.byUser(stopped)
	if slices.Contains(byUser, name) {
		return nil, recover.ErrUserStopped
	}
	return byUser, nil
}

// findUnit looks again for the unit of a row that has none yet. It reports whether the container
// runs without one: podman did not say so before.
func (s *starter) findUnit(ctx context.Context, row *recover.Row) (runs bool, err error) {
	if row.Unit != "" {
		return false, nil
	}
	units := s.world.host().NamedUnits(ctx, []recover.Container{{Name: row.Name}})
	found := s.resolve(ctx, row.Name, units)
	for !found.answered && ctx.Err() == nil { // only the end of the attempt makes it fail
		engine.Sleep(ctx, askAgain)
		found = s.resolve(ctx, row.Name, units)
	}
	switch {
	case !found.answered:
		return false, unaskedError{errors.New("podman did not answer for it in time: what works on it now does not end. " +
			"Find that with: ps -eo pid,stat,etime,args | grep podman")}
	case found.unasked:
		return false, unaskedError{found.Err}
	case found.Err != nil:
		return false, found.Err
	}
	if found.Unit == "" && found.now.Running() {
		s.learn(row.Name, func(c *startedContainer) { c.restarts = found.now.Restarts })
		return true, nil
	}
	if found.Unit == "" && s.unsure[row.Name] {
		return false, recover.ErrNotHere
	}
	if found.Unit == "" {
		return false, fmt.Errorf("%w, and no unit runs it", recover.ErrNoContainer)
	}
	if s.doubtful[row.Name] && found.Generated && found.now.Ended() {
		if life, err := s.endByPodman(ctx, row.Name, found.now); err != nil {
			return false, err
		} else if life.State == recover.LifeStopped || life.ExitCode == 0 {
			return false, errStopped
		}
	}
	row.Unit, row.Generated = found.Unit, found.Generated
	return false, nil
}

// An unaskedError is an ErrUnasked that says why.
type unaskedError struct{ error }

func (e unaskedError) Unwrap() error { return e.error }

func (unaskedError) Is(err error) bool { return err == recover.ErrUnasked }

// errStopped is ErrUserStopped for a container that was not put on the list.
var errStopped = stoppedError{}

type stoppedError struct{}

func (stoppedError) Error() string { return "someone stopped it, or it ended well, before this run" }

func (stoppedError) Is(err error) bool { return err == recover.ErrUserStopped }

// resolved is the unit of a row.
type resolved struct {
	recover.Resolution
	now recover.Sighting
	// answered: podman answered in time, be it with an error. unasked: it is not known
	// whether there is a unit, or such a container.
	answered, unasked bool
}

// resolve looks for the unit of one container among units, or generates one.
func (s *starter) resolve(ctx context.Context, name string, view recover.View) resolved {
	sighting, err := s.world.Podman.Inspect(ctx, name)
	if err == nil {
		s.learn(name, func(c *startedContainer) { c.id = sighting.ID })
	}
	view.TakeOne(name, sighting, err)
	found := s.world.host().Resolve(ctx, []recover.Container{{Name: name}}, view)[name]
	if view.Unanswered[name] && found.Err != nil {
		found.Err = fmt.Errorf("no unit runs it and podman does not answer: %w", err)
	}
	return resolved{
		Resolution: found, now: sighting,
		answered: !survey.NotInTime(found.Err),
		unasked:  found.Err != nil && (view.Unanswered[name] || view.SystemdErr != nil),
	}
}

// vetoNotMounted returns a *engine.NotMounted with the mount points that are
// configured, not mounted, and above what the container needs: it would be started
// into an empty directory.
func (s *starter) vetoNotMounted(ctx context.Context, row recover.Row) error {
	points, err := s.world.Systemd.NotMounted(ctx)
	if err != nil || len(points) == 0 {
		return nil //nolint:nilerr // what cannot be asked delays nothing
	}
	paths, _ := s.mountsNeeded(ctx, row) // what systemd mounts by itself is no reason to wait
	points = slices.DeleteFunc(points, func(point string) bool {
		return !slices.ContainsFunc(paths, func(p string) bool { return recover.Below(p, point) })
	})
	if len(points) == 0 {
		return nil
	}
	return &engine.NotMounted{Points: points}
}

// vetoIDPrefix refuses a name that podman would take for another container: podman
// takes what is no name for the beginning of an ID. A Quadlet container is gone
// after a boot, and `podman run --replace --name db` then removes the container
// whose ID begins with db, whatever that runs. (podman 5.4, libpod's
// LookupContainer)
func (s *starter) vetoIDPrefix(ctx context.Context, name string) error {
	if strings.Trim(name, "0123456789abcdef") != "" {
		return nil
	}
	_, err := s.world.Podman.Inspect(ctx, name) // of that one: a list may wait for a container that is stuck
	var other *recover.OtherContainer
	if !errors.As(err, &other) {
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
// has cleaned up, and to start it then does nothing. If systemd itself starts the unit
// again, it also learns how often it has done so before.
func (s *starter) stopped(ctx context.Context, row recover.Row, ending bool) bool {
	ended := ending && s.awaitEnd(ctx, row.Unit)
	states, err := s.world.Systemd.States(ctx, []string{row.Unit})
	now := states[row.Unit]
	if err == nil && (now.Active == "active" || now.Returning()) && !row.Generated && !row.Job {
		s.learnRestarts(ctx, row)
	}
	return err == nil && (now.Job == "stop" || ended && now.Active == "inactive" && !now.Returning())
}

// learnRestarts reads how often systemd has started a unit again. A start by us does not
// reset that count while the unit runs, or while systemd starts it.
func (s *starter) learnRestarts(ctx context.Context, row recover.Row) {
	const within = time.Second // a unit between two states has no answer
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if life, err := s.world.Systemd.AwaitLife(asking, row.Unit, recover.Life{}); err == nil {
		s.learn(row.Name, func(c *startedContainer) { c.restarts = life.Restarts })
	}
}

// awaitEnd waits for the end of a unit, and reports whether it came.
func (s *starter) awaitEnd(ctx context.Context, unit string) bool {
	waiting, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	err := s.world.Systemd.AwaitEnd(waiting, unit, s.replayed)
	if err != nil {
		s.world.Log.Debug("the unit's end cannot be awaited", "unit", unit, "error", err)
	}
	return err == nil
}

// reset has systemd forget how often a unit was started: it refuses to start
// one that reached its limit (StartLimitBurst= of systemd.unit(5)), and says so in
// no property of one that had failed before. Once a recovery, before the second
// attempt.
func (s *starter) reset(ctx context.Context, unit string) {
	if err := s.world.Systemd.ResetFailed(ctx, unit); err != nil {
		s.world.Log.Debug("the unit's failure cannot be reset", "unit", unit, "error", err)
	}
}

// askAgain is how long podman is left alone after it could not be asked.
const askAgain = 2 * time.Second

// confirm compares what systemd says of the unit after its start with what podman
// says of the container.
func (s *starter) confirm(ctx context.Context, row recover.Row, outcome recover.Outcome) (recover.Outcome, error) {
	if outcome.Job == "done" && outcome.Active == "inactive" && !outcome.ConditionFailed &&
		s.onlyStarts(ctx, row) {
		outcome.Active = "active"
		s.learn(row.Name, func(c *startedContainer) { c.outlives = true })
	}
	if outcome.Active != "active" {
		return outcome, nil
	}
	if row.Ending {
		now, err := s.world.Podman.Inspect(ctx, row.Name)
		if gone := errors.Is(err, recover.ErrNoContainer); gone || err == nil && !now.Running() {
			return outcome, errors.New("its unit stays active, though the container has ended")
		}
	}
	return outcome, nil
}

// onlyStarts reports whether a unit that has ended well only starts its container, which
// runs on. podman start, which is what a generated unit does, has started it then; podman
// is asked about the container of a user's unit with Type=oneshot.
func (s *starter) onlyStarts(ctx context.Context, row recover.Row) bool {
	if row.Generated {
		return true
	}
	now, err := s.world.Podman.Inspect(ctx, row.Name)
	return err == nil && now.Running() || survey.NotInTime(err)
}

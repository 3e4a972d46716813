package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/survey"
)

// A Service is one run of the daemon: assess, plan, recover, READY, keep the
// running set, stop. Its methods may be called from any goroutine.
type Service struct {
	world    World
	policy   recover.Policy
	identity recover.Identity

	board    *board
	marker   *marker
	history  *history
	suspects *suspects
	keeper   *keeper
	checkup  *checkup
	networks *networks
	repairer repairer
	mender   *selfRepairer
	archives *archivist
	podman   *survey.Patient
	hold     *hold
	failures *failureLog
	leftDown *leftDown
	// ids are podman's IDs of the plan's containers without a unit.
	ids map[string]string
	// configs are what podman said of containers for the plan.
	configs *survey.Configs
	// doubtful names the dead containers that podman has yet to say of whether they were stopped.
	doubtful map[string]bool
	// replayed is when the journal was read for the deaths before this run.
	replayed time.Duration
	// unsure names the candidates that may not exist: only the clean-boot list names them.
	unsure map[string]bool
	// tied is the user-stopped list that the plan heeds, nil if it heeds none.
	tied *[]string
	// release ends what keeps the units of the plan loaded.
	release func()
	// again: an earlier run of the service has begun in this boot.
	again    bool
	progress progress
	// telling is held while STATUS= is told after READY: what is told last was true last.
	telling sync.Mutex
	// run is the engine's, nil before there is one.
	mu  sync.Mutex
	run *engine.Run
	// background is what goes on beside recovery and does not delay it.
	background sync.WaitGroup
}

// New prepares a run. identity names it.
func New(w World, p recover.Policy, identity recover.Identity) *Service {
	podman := survey.NewPatient(w.Podman)
	w.storage = &storage{systemd: w.Systemd}
	w.Podman = storedPodman{podman, w.storage}
	b := newBoard(w.Log, identity)
	m := &marker{store: w.Store, identity: identity, board: b}
	book := newSuspects(w, p, identity, b)
	s := &Service{
		world: w, policy: p, identity: identity, board: b, marker: m,
		history:  &history{store: w.Store, board: b, soak: p.Soak},
		failures: newFailureLog(w.Log),
		leftDown: &leftDown{world: w, board: b},
		suspects: book,
		keeper:   newKeeper(w, identity, b, m, book),
		checkup:  newCheckup(w, b),
		networks: &networks{world: w, board: b},
		podman:   podman,
		hold:     newHold(w, b, identity.BootID),
		doubtful: map[string]bool{}, unsure: map[string]bool{}, release: func() {},
	}
	s.progress.board, s.progress.status = b, w.Notifier.Status
	s.keeper.tellStatus, s.keeper.tellRun, s.keeper.amended = s.tellStatus, s.tellRun, s.history.amended
	s.repairer.service = s
	s.mender = newSelfRepairer(s)
	s.archives = newArchivist(w, p, b)
	s.keeper.preserver.sawNew = s.archives.sawNew
	return s
}

// ErrAlreadyRunning means that another live instance holds the data directory.
var ErrAlreadyRunning = errors.New("another instance is running")

// Run recovers and then keeps the set until ctx ends. It reports what goes wrong
// on the way, and recovers around it. Its only errors are ErrAlreadyRunning, and
// ErrNoBus when the manager that runs the containers went away. After ErrNoBus the
// marker stays, systemd starts the daemon again, and that brings back what ran.
func (s *Service) Run(ctx context.Context) error {
	starting, started := context.WithCancel(ctx)
	var extending sync.WaitGroup
	extending.Go(func() { s.extend(starting) })
	defer s.podman.Close()
	defer s.background.Wait()
	run, err := s.bringBack(ctx)
	started()
	extending.Wait()
	defer s.failures.close()
	defer s.history.close()
	if err != nil {
		return err
	}
	finished := run != nil
	// The watch outlives ctx: the last snapshot still needs it.
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	if finished {
		watchErr := s.keeper.begin(watching)
		s.noteVolatile()
		s.findMissing(ctx)
		s.configs.Forget()
		s.ready() // also without a watch: other units wait for it
		s.release()
		running, halt := context.WithCancel(ctx)
		defer halt() // before the wait for what runs in the background
		s.background.Go(func() { s.noteAutostart(running) })
		s.background.Go(func() { s.leftDown.tell(running) })
		s.background.Go(func() {
			s.keeper.learnStorage(running)
			s.keeper.preserver.run(running)
		})
		s.background.Go(func() { s.follow(running, run) })
		s.background.Go(func() { s.mender.run(running) })
		s.background.Go(func() { s.lookAtNetworks(running) })
		s.background.Go(func() { s.archives.run(running) })
		s.background.Go(func() {
			starts := newStarter(s.world, s.policy, s.suspects, s.ids, func(string, recover.Life) {})
			(&parole{suspects: s.suspects, starter: starts, policy: s.policy, history: s.history,
				ready: s.livesSince(), hold: s.hold}).run(running)
		})
		if watchErr != nil {
			return watchErr
		}
		if err := s.keeper.follow(ctx); err != nil {
			return err
		}
	}
	// Stopping has to work although ctx has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	s.stop(ctx, finished)
	return nil
}

const (
	// extendBy is what we ask for, extendEvery how often: a daemon that hangs
	// before READY is killed and started again within extendBy.
	extendBy    = 90 * time.Second
	extendEvery = 30 * time.Second
	stopTimeout = 10 * time.Second
	// assessWithin bounds all that comes before the first start: from then on
	// recovery goes on with what it knows.
	assessWithin = 90 * time.Second
	// stopWithin is how soon systemd stops us when the host goes down.
	stopWithin = 30 * time.Second
)

// endsWithin waits at most d for ctx to end, and reports whether it did.
func endsWithin(ctx context.Context, d time.Duration) bool {
	engine.Sleep(ctx, d)
	return ctx.Err() != nil
}

// livesSince is since when the host lives, as far as suspicion goes: since READY, but since
// the boot if the service was restarted in it. Else a service that is restarted each hour
// would try no container again.
func (s *Service) livesSince() time.Time {
	if s.again {
		return time.Now().Add(-s.world.Journal.Now())
	}
	return time.Now()
}

// extend keeps the start-up from timing out for as long as recovery may take,
// and no longer.
func (s *Service) extend(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, assessWithin+s.policy.Deadline+stopWithin)
	defer cancel()
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		s.Phase() // hangs if the board's lock is never released
		s.world.Notifier.Extend(extendBy)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// bringBack is everything before READY. It returns the run, nil if that was cut short.
func (s *Service) bringBack(ctx context.Context) (run *engine.Run, err error) {
	s.world.Notifier.Status("assessing how the last run ended")
	defer s.progress.end()
	s.hold.load()
	rows, err := s.assess(ctx)
	if err != nil {
		return nil, err
	}
	s.board.enter(recover.Recovering, nil)
	logPlan(s.world.Log, rows)
	starts := newStarter(s.world, s.policy, s.suspects, s.ids, func(name string, life recover.Life) {
		s.board.showNow(map[string]recover.NowState{name: nowOfLife(life)})
		s.tellStatus()
	})
	starts.doubtful, starts.replayed, starts.tied = s.doubtful, s.replayed, s.tied
	starts.unsure, starts.checkup, starts.configs = s.unsure, s.checkup, s.configs
	run = engine.New(rows, s.policy, starts, s.suspects.flight, s.world.Gauge, s.observe)
	s.mu.Lock()
	s.run = run
	s.mu.Unlock()
	held, _ := s.hold.until()
	run.Hold(held)
	err = run.Do(ctx)
	if err == nil {
		err = starts.cutShort(ctx)
	}
	if err != nil {
		s.world.Log.Warn("recovery was cut short; the next start takes it up again",
			"MESSAGE_ID", recover.MsgStopping, "reason", err)
		if !endsWithin(ctx, stopWithin) { // a user's manager went down, and not the host
			return nil, fmt.Errorf("the service manager went away: %w", recover.ErrNoBus)
		}
		return nil, nil
	}
	return run, nil
}

// observe puts an event of the engine into the report, the journal and STATUS=. After
// READY it amends the report.
func (s *Service) observe(e engine.Event) {
	var complete bool
	b := s.board
	b.change(func() {
		if e.Row.Name != "" {
			b.progress.Add(b.report.Rows[e.Index], -1)
			b.progress.Add(e.Row, 1)
			b.report.Rows[e.Index] = e.Row
			// Of a restart its Life has told, and may have told since that it runs again.
			restarted := e.Kind == engine.Restarting && b.now[e.Row.Name] == recover.NowRunning
			if changesNow(e.Kind) && !restarted {
				b.setNow(map[string]recover.NowState{e.Row.Name: nowOfRow(e.Row)})
			}
		}
		complete = !b.report.Finished.IsZero()
	})
	if complete {
		s.keeper.judged.hear(e, b.currentSet().Containers)
		s.history.amended()
		s.tellStatus()
	} else {
		s.progress.changed()
	}
	s.failures.hear(e)
	s.mender.hear(e.Row)
}

// changesNow reports whether an event tells what its container does now.
func changesNow(kind engine.EventKind) bool {
	switch kind {
	case engine.Explained, engine.Unhealthy, engine.Healthy, engine.RetryPlanned, engine.RetryEnded:
		return false
	}
	return true
}

// tellStatus keeps STATUS= true after READY.
func (s *Service) tellStatus() {
	s.telling.Lock()
	defer s.telling.Unlock()
	b := s.board
	b.mu.Lock()
	line := b.report.SummaryNow(b.now)
	changed := b.phase == recover.Ready && line != b.statusLine
	if changed {
		b.statusLine = line
	}
	b.mu.Unlock()
	if changed {
		s.world.Notifier.Status(line)
	}
}

// follow watches after READY whether the containers last, and tries again what did not.
func (s *Service) follow(ctx context.Context, run *engine.Run) {
	err := run.Serve(ctx)
	if err != nil && ctx.Err() == nil {
		s.world.Log.Info("containers are not followed any longer", "MESSAGE_ID", recover.MsgStopping, "reason", err)
	}
}

// ready tells systemd that recovery is complete.
func (s *Service) ready() {
	var summary string
	var failed bool
	b := s.board
	s.suspects.addDeferred()
	s.telling.Lock()
	b.enter(recover.Ready, func() {
		b.report.Finished = time.Now()
		summary, failed = b.report.SummaryNow(b.now), b.report.Failed()
		b.statusLine = summary
		if !b.restarted {
			b.set.Containers = b.report.CarriedOver(b.set.Containers)
		}
	})
	s.world.Notifier.Ready(summary)
	s.telling.Unlock()
	s.tellStatus()
	s.history.save()
	level := slog.LevelInfo
	if failed {
		level = slog.LevelWarn
	}
	status, _ := b.status()
	s.world.Log.Log(context.Background(), level, "recovery "+summary, "MESSAGE_ID", recover.MsgComplete,
		"duration", status.Recovery.Finished.Sub(status.Recovery.Started).Round(time.Millisecond))
}

// stop ends the run in order. The marker goes only when nothing is left for the next
// start: a recovery that was cut short is taken up again, and so are changes of the set
// that could not be saved.
func (s *Service) stop(ctx context.Context, finished bool) {
	s.board.enter(recover.Stopping, nil)
	s.world.Notifier.Stopping("saving the running set")
	s.suspects.flight.Close()
	left := recover.LeftStarts
	if finished {
		err := s.keeper.lookFinally(ctx)
		if err != nil {
			s.world.Log.Info("the running set stays as last saved", "MESSAGE_ID", recover.MsgStopping, "reason", err)
		}
		userStopped, _ := s.world.Store.UserStopped() // without it more is left, and not less
		left = s.board.leftover(s.policy, userStopped, err)
	}
	if left != recover.LeftNothing {
		s.world.Log.Info("the marker stays: the next start takes up what is left",
			"MESSAGE_ID", recover.MsgStopping, "reason", string(left))
	}
	if err := s.marker.end(left); err != nil {
		s.world.Log.Error("cannot end the marker: the next start will take this run for a crash",
			"MESSAGE_ID", recover.MsgStateDamaged, "error", err)
	}
}

package recover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// World is everything around the heart.
type World struct {
	Store    Store
	Podman   Podman
	Systemd  Systemd
	Journal  Journal
	Notifier Notifier
	Gauge    Gauge
	Log      *slog.Logger
	// PodmanFirst: podman has to have answered before a unit that runs it is
	// started. A user's first podman commands after a boot, side by side, race for
	// what they share, and kill each other's containers (seen with 5.4.2).
	PodmanFirst bool
	// Others may be nil: then nobody is told who else starts containers.
	Others Others
}

// Phase is where a Service stands.
type Phase string

// The phases, in the order in which a run passes through them.
const (
	Assessing  Phase = "assessing"
	Recovering Phase = "recovering"
	Ready      Phase = "ready"
	Stopping   Phase = "stopping"
)

// A Service is one run of the daemon: assess, plan, recover, READY, keep the
// running set, stop. Its methods may be called from any goroutine.
type Service struct {
	World
	policy   Policy
	identity Identity
	began    time.Time

	// beside is what goes on beside recovery and does not hold it up.
	beside sync.WaitGroup
	// keeping is held by who reads and replaces files of the data directory.
	keeping sync.Mutex
	// remembering is held by who writes the report of this recovery.
	remembering sync.Mutex
	// unmarked: our marker could not be written yet. Guarded by keeping.
	unmarked bool
	// unsaved: the snapshot is to be saved though it may be what is read. The
	// last save failed; or there was none in this run, and what happened before
	// the recovery would be replayed after it. Guarded by keeping.
	unsaved bool
	// down are the members that did not run when the set was last looked at.
	// Guarded by keeping.
	down []string
	// failures are the members whose unit failed by itself, and not when it was
	// told to stop. Guarded by keeping.
	failures map[string]bool
	// believed are claims of units that held. Guarded by keeping.
	believed map[Claim]bool
	// seenRunning is since when suspects that others started are seen to run.
	// Guarded by keeping.
	seenRunning map[string]time.Time
	// watch is on the manager from READY on. Guarded by keeping.
	watch Watch
	// flight is who is in flight.
	flight *Flight

	mu       sync.Mutex // guards what follows
	phase    Phase
	report   Report
	tally    tally    // of the report's rows
	set      Snapshot // the last one saved, or loaded
	suspects Quarantine
	// unkept: the suspects could not be written.
	unkept  bool
	changed chan struct{}
	// restarted: the last run ended in order in this very boot. Then nothing is
	// recovered, and the set goes on as it is.
	restarted bool
}

// NewService prepares a run. identity is who we are.
func NewService(w World, p Policy, identity Identity) *Service {
	s := &Service{
		World: w, policy: p, identity: identity, began: time.Now(),
		phase: Assessing, changed: make(chan struct{}), failures: map[string]bool{}, believed: map[Claim]bool{},
		seenRunning: map[string]time.Time{},
	}
	s.flight = newFlight(s.writeInFlight, s.forgive)
	return s
}

// ErrAlreadyRunning: another live instance holds the data directory.
var ErrAlreadyRunning = errors.New("another instance is running")

// Run recovers and then keeps the set until ctx ends. Whatever goes wrong on
// the way is reported and recovered around; the only errors are
// ErrAlreadyRunning, and ErrNoBus when the manager went away under us: then the
// marker stays, and systemd, which starts us again, has what ran brought back.
func (s *Service) Run(ctx context.Context) error {
	starting, started := context.WithCancel(ctx)
	var extending sync.WaitGroup
	extending.Go(func() { s.extend(starting) })
	defer s.beside.Wait()
	finished, err := s.bringBack(ctx)
	started()
	extending.Wait()
	if err != nil {
		return err
	}
	// The watch outlives ctx: the last snapshot still needs it.
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	if finished {
		watchErr := s.beginWatch(watching)
		s.ready()      // also without a watch: others wait for it
		running := ctx // which is another one below
		s.beside.Go(func() { s.noteOthers(running) })
		if watchErr != nil {
			return watchErr
		}
		if err := s.follow(ctx); err != nil {
			return err
		}
	}
	// Stopping has to work although ctx is over.
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

// over waits at most d for ctx to end, and reports whether it did.
func over(ctx context.Context, d time.Duration) bool {
	sleep(ctx, d)
	return ctx.Err() != nil
}

// extend keeps the start-up from timing out for as long as recovery may take,
// and no longer.
func (s *Service) extend(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, assessWithin+s.policy.Deadline+stopWithin)
	defer cancel()
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		s.Phase() // hangs with the service, should its lock ever do
		s.Notifier.Extend(extendBy)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// bringBack is everything before READY. It reports whether recovery ran to its
// end.
func (s *Service) bringBack(ctx context.Context) (finished bool, err error) {
	s.Notifier.Status("assessing how the last run ended")
	rows, err := s.assess(ctx)
	if err != nil {
		return false, err
	}
	s.enter(Recovering, nil)
	logPlan(s.Log, rows)
	run := NewRun(rows, s.policy, starter{s}, s.flight, s.Gauge, s.observe)
	if err := run.Do(ctx); err != nil {
		s.Log.Warn("recovery was cut short; the next start takes it up again",
			"MESSAGE_ID", MsgStopping, "reason", err)
		if !over(ctx, stopWithin) { // a user's manager went down, and not the host
			return false, fmt.Errorf("the service manager went away: %w", ErrNoBus)
		}
		return false, nil
	}
	return true, nil
}

// observe takes an event into the report, the journal and STATUS=.
func (s *Service) observe(e Event) {
	var progress string
	s.change(func() {
		if e.Row.Name != "" {
			s.tally.add(s.report.Rows[e.Index], -1)
			s.tally.add(e.Row, 1)
			s.report.Rows[e.Index] = e.Row
		}
		progress = s.tally.line()
	})
	s.Notifier.Status(progress)
	log(s.Log, e)
}

// ready tells systemd that recovery is complete.
func (s *Service) ready() {
	var summary string
	var failed bool
	s.boardDeferred()
	s.enter(Ready, func() {
		s.report.Finished = time.Now()
		summary, failed = s.report.Summary(), s.report.Failed()
		if !s.restarted {
			s.set.Containers = s.report.carriedOver(s.set.Containers)
		}
	})
	s.Notifier.Ready(summary)
	s.remember()
	level := slog.LevelInfo
	if failed {
		level = slog.LevelWarn
	}
	s.Log.Log(context.Background(), level, "recovery "+summary, "MESSAGE_ID", MsgComplete,
		"duration", s.report.Finished.Sub(s.report.Started).Round(time.Millisecond))
}

// stop ends the run in order. The marker goes only when nothing is left to
// recover: a recovery that was cut short is taken up again by the next start.
func (s *Service) stop(ctx context.Context, finished bool) {
	s.enter(Stopping, nil)
	s.Notifier.Stopping("saving the running set")
	s.flight.Close()
	if !finished {
		return
	}
	if _, err := s.snapshot(ctx); err != nil {
		s.Log.Info("the running set stays as last saved", "MESSAGE_ID", MsgStopping, "reason", err)
	}
	if err := s.Store.RemoveMarker(); err != nil {
		s.Log.Error("cannot remove the marker: the next start will take this run for a crash",
			"MESSAGE_ID", MsgStateDamaged, "error", err)
	}
}

// observePhase is told each change of the phase; tests look in, and hold the
// diagram in docs/recovery.md against it.
var observePhase = func(from, to Phase) {}

// enter moves to a phase, together with what update changes.
func (s *Service) enter(p Phase, update func()) {
	s.change(func() {
		observePhase(s.phase, p)
		s.phase = p
		if update != nil {
			update()
		}
	})
}

// change changes the state and wakes those who wait for that.
func (s *Service) change(update func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	update()
	close(s.changed)
	s.changed = make(chan struct{})
}

// remember keeps the recovery in the history.
func (s *Service) remember() {
	// Not keeping, which a look holds while podman takes its time to answer.
	s.remembering.Lock()
	defer s.remembering.Unlock()
	status, _ := s.Status()
	if !status.RecoveryComplete || status.Restarted {
		return // not yet, or no recovery at all
	}
	id, err := s.Store.SaveReport(status.Recovery)
	if err != nil {
		s.Log.Warn("the recovery cannot be kept in the history", "MESSAGE_ID", MsgStateDamaged, "error", err)
		return
	}
	s.change(func() { s.report.ID = id })
}

// note puts something that the operator should know into the report and the
// journal.
func (s *Service) note(text string, err error) {
	s.Log.Warn(text, "MESSAGE_ID", MsgStateDamaged, "error", err)
	s.addNote(fmt.Sprintf("%s: %v", text, err))
}

func (s *Service) addNote(text string) {
	s.change(func() {
		if !slices.Contains(s.report.Notes, text) {
			s.report.Notes = append(s.report.Notes, text)
		}
	})
}

// Phase is where the service stands.
func (s *Service) Phase() Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

// Status is the service as it stands, and a channel that closes when that
// changes.
func (s *Service) Status() (Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	report := s.report
	report.Rows = slices.Clone(report.Rows)
	report.Notes = slices.Clone(report.Notes)
	return Status{
		State:            s.phase,
		RecoveryComplete: !s.report.Finished.IsZero(),
		Progress:         s.tally.line(),
		Identity:         s.identity,
		Uptime:           time.Since(s.began),
		Recovery:         report,
		Set:              s.set,
		Quarantine:       slices.Clone(s.suspects),
		Restarted:        s.restarted,
	}, s.changed
}

// Status is what the control API tells of a Service.
type Status struct {
	State            Phase
	RecoveryComplete bool
	Progress         string
	Identity         Identity
	Uptime           time.Duration
	Recovery         Report
	Set              Snapshot
	Quarantine       Quarantine
	// Restarted: the last run ended in order in this very boot, so that there
	// was nothing to recover.
	Restarted bool
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/survey"
)

// ErrFrozen means that the snapshot does not change now: READY was not reported yet, or
// the stop has begun.
var ErrFrozen = errors.New("the snapshot is frozen while recovery is not complete")

const (
	// gatherFor is how long changes are gathered before a look at the set: a start
	// or stop of a container is several changes. With the look and the write it has
	// to stay under a second.
	gatherFor = 300 * time.Millisecond
	// busGrace is how long a lost bus may be the first sign of our own stop.
	busGrace = 3 * time.Second
	// lookWithin bounds one look at the set.
	lookWithin = 60 * time.Second
)

// A keeper keeps the running set from READY on: it watches the containers' units,
// looks at the host after each change, and writes the snapshot. What it saved last
// is on the board.
type keeper struct {
	world    World
	identity recover.Identity
	board    *board
	marker   *marker
	suspects *suspects
	// asked tells that a look is to be made for what no watch tells of.
	asked     chan struct{}
	judged    *judgments
	preserver *preserver
	// tellStatus tells what runs now, where that has changed.
	tellStatus func()
	// tellRun tells the engine what a look has seen.
	tellRun func(context.Context, engine.Sight)
	// amended has the report written again.
	amended func()

	// mu guards what follows. A look holds it to its end, so that looks, which
	// write the snapshot, follow one another.
	mu sync.Mutex
	// watch is nil before READY.
	watch recover.Watch
	// unsaved: the snapshot is to be saved though the set may be as it is on disk.
	// The last save failed; or none was made in this run, and what happened before
	// the recovery would be replayed after it.
	unsaved bool
	// pacer holds back the saves of members that come and go; heldUntil is when the next
	// of them is due, zero if none is held back.
	pacer     pacer
	heldUntil time.Time
	// pulse writes down that the host is alive; confirmed is when the last look began that
	// found the set as it is on disk, 0 if the last look did not.
	pulse     pulse
	confirmed time.Duration
	// listed are the containers that podman listed at the last look, none if it did not.
	listed []string
	// goneSince is since when suspects are gone.
	goneSince map[string]time.Time
	// held is the set as it was seen last, while its save is held back.
	held []recover.Container
	// final: the stop has begun, and nothing is held back.
	final bool
	// failures are the members whose unit failed by itself, and not when it was
	// told to stop.
	failures map[string]bool
	// believed are the claims of units that held; jobs are those of their units that run
	// to their end.
	believed map[survey.Claim]bool
	jobs     map[string]bool
	// unnamed are the units that show no container.
	unnamed map[string]bool
	// blind: the last look failed, so what came and went since the one before was not seen.
	blind bool
	// looked is when the last look whose set was saved began, by the journal's clock; zero without one.
	looked time.Duration
	// stuck names the containers that podman did not answer for at the last look.
	stuck map[string]bool
}

func newKeeper(w World, identity recover.Identity, b *board, m *marker, book *suspects) *keeper {
	return &keeper{world: w, identity: identity, board: b, marker: m, suspects: book, tellStatus: func() {},
		tellRun:   func(context.Context, engine.Sight) {},
		amended:   func() {},
		preserver: newPreserver(w), asked: make(chan struct{}, 1),
		judged: newJudgments(), failures: map[string]bool{}, believed: map[survey.Claim]bool{},
		jobs: map[string]bool{}, unnamed: map[string]bool{}, pulse: pulse{world: w, identity: identity}}
}

// begin watches the containers' units from now on, until watching ends. Before,
// there is no snapshot.
func (k *keeper) begin(watching context.Context) error {
	watch, err := k.world.Systemd.Watch(watching)
	if err != nil {
		return fmt.Errorf("containers cannot be watched: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watch, k.unsaved = watch, true
	k.pulse.beat(recover.Snapshot{}, 0)
	return nil
}

// learnStorage asks podman once where it keeps its containers: for the next boot, and to
// preserve them. A look saves it at once: a crash may be near.
func (k *keeper) learnStorage(ctx context.Context) {
	root, err := k.world.Podman.GraphRoot(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.world.Log.Info("it is not known where podman keeps its containers", "reason", err)
		}
		return
	}
	if k.world.storage.at(root) {
		k.lookSoon()
	}
}

// lookSoon has a look made soon, and does not wait for it.
func (k *keeper) lookSoon() {
	select {
	case k.asked <- struct{}{}:
	default: // it is to be made already
	}
}

// follow keeps the set on disk up to date until ctx ends. Between changes it
// sleeps. When the bus goes away it returns ErrNoBus: a user's manager that goes
// takes its containers with it, and this process cannot see the runtime directory
// that its successor has. A new process can. By our marker it brings back what is
// down, and starts nothing if nothing is.
func (k *keeper) follow(ctx context.Context) error {
	k.mu.Lock()
	changes := k.watch.Changes()
	k.mu.Unlock()
	k.followChanges(ctx, changes)
	// At a shutdown the bus may end a moment before we are told to stop.
	if !endsWithin(ctx, busGrace) {
		return fmt.Errorf("containers can no longer be watched: %w", recover.ErrNoBus)
	}
	return nil
}

func (k *keeper) followChanges(ctx context.Context, changes <-chan struct{}) {
	for open := true; open; {
		// Also before the first change: for what changed before the watch began.
		if _, err := k.look(ctx); err != nil && ctx.Err() == nil {
			k.world.Log.Warn("the snapshot stays as last saved", "MESSAGE_ID", recover.MsgImpaired, "reason", err)
		}
		open = k.awaitChange(ctx, changes)
		if ctx.Err() != nil {
			return
		}
		engine.Sleep(ctx, gatherFor)
	}
}

// awaitChange returns when it is time for the next look. It reports whether changes are
// still told.
func (k *keeper) awaitChange(ctx context.Context, changes <-chan struct{}) (open bool) {
	var again <-chan time.Time
	if wait, needed := k.lookAgainIn(); needed {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case _, open = <-changes:
		return open
	case <-k.judged.changed:
	case <-k.asked:
	case <-again:
	case <-ctx.Done():
	}
	return true
}

// lookAtStuckEvery is how often podman is asked about containers that it did not answer
// for, while nothing else changes.
const lookAtStuckEvery = 30 * time.Second

// lookAgainIn is how long the next look may wait for a change: nothing tells when podman
// is no longer stuck, nor that a save was held back for long enough.
func (k *keeper) lookAgainIn() (wait time.Duration, needed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.stuck) > 0 {
		wait, needed = lookAtStuckEvery, true
	}
	if !k.heldUntil.IsZero() {
		if due := max(0, time.Until(k.heldUntil)); !needed || due < wait {
			wait, needed = due, true
		}
	}
	return wait, needed
}

// check is a look that logs what the watch had not seen.
func (k *keeper) check(ctx context.Context) (recover.Snapshot, error) {
	before := k.board.currentSet()
	next, err := k.look(ctx)
	if joined, left := before.Changes(next); err == nil && len(joined)+len(left) > 0 {
		k.world.Log.Info("the full check found a difference", "MESSAGE_ID", recover.MsgSetDiffered,
			"joined", strings.Join(joined, " "), "left", strings.Join(left, " "))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watch != nil {
		k.pulse.beat(k.board.currentSet(), k.confirmed)
		k.tidy(ctx)
	}
	return next, err
}

// look brings the snapshot up to date with the host, and writes what could not be
// written before.
func (k *keeper) look(ctx context.Context) (recover.Snapshot, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.board.currentSet()
	if k.watch == nil {
		return last, ErrFrozen
	}
	if k.held != nil {
		last.Containers = k.held
	}
	k.confirmed = 0
	k.heldUntil = time.Time{} // a look that fails is not repeated at once
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	k.marker.retry()
	k.suspects.retry()
	began := time.Now()
	next, seen, err := k.see(ctx, k.withUnseen(ctx, last))
	if k.blind = k.blind || err != nil; err != nil {
		return last, err
	}
	// Asked after the look: what it saw go may have gone with the host, or
	// with a user's manager that has a successor by now.
	switch down, err := k.watch.GoingDown(ctx); {
	case err != nil:
		return last, fmt.Errorf("cannot tell whether the host is going down: %w", err)
	case down:
		return last, recover.ErrGoingDown
	}
	switch left, err := k.watch.LeftTarget(ctx); {
	case err != nil:
		return last, fmt.Errorf("cannot tell whether the host changes to another target: %w", err)
	case left:
		return last, recover.ErrLeftTarget
	}
	saved, err := k.save(last, next)
	if err == nil {
		k.looked, k.blind = next.Monotonic, false
		k.judged.settle(began)
	}
	k.tellRun(ctx, seen.asSight(began, next))
	return saved, err
}

// save writes the snapshot, unless the same is on disk, or its change is held back.
func (k *keeper) save(last, next recover.Snapshot) (recover.Snapshot, error) {
	now := time.Now()
	due, pending := k.pacer.due(now)
	k.held, k.confirmed = nil, 0
	onDisk, err := k.world.Store.Snapshot()
	if err == nil && !k.unsaved && onDisk.Of(k.identity) {
		same := onDisk.SameSet(next) && onDisk.GraphRoot == next.GraphRoot && !pending
		held := pending && due.After(now) && !k.final && maps.Equal(onDisk.Doubts, next.Doubts)
		if held {
			k.held, k.heldUntil = next.Containers, due
		}
		if same && len(next.Doubts) == 0 {
			k.confirmed = next.Monotonic
		}
		if same || held {
			k.board.showSet(onDisk)
			return onDisk, nil
		}
	}
	err = k.world.Store.SaveSnapshot(next)
	k.unsaved = err != nil
	if err != nil {
		return last, fmt.Errorf("cannot save the snapshot: %w", err)
	}
	k.pacer.wrote(now)
	k.board.showSet(next)
	k.world.Log.Debug("snapshot saved", "MESSAGE_ID", recover.MsgSnapshotSaved, "containers", len(next.Containers))
	return next, nil
}

// see is the set now. It changes nothing if podman or systemd do not answer.
func (k *keeper) see(ctx context.Context, last recover.Snapshot) (recover.Snapshot, seen, error) {
	lookBegan := time.Now()
	began := k.world.Journal.Now() // what happens during the look is replayed: twice does no harm
	sight, err := k.sight(ctx, last)
	if err != nil {
		return recover.Snapshot{}, seen{}, fmt.Errorf("cannot list the containers: %w", err)
	}
	list := sight.list
	if k.listed = nil; !sight.part {
		k.listed = slices.Collect(maps.Keys(list.ByName()))
	}
	var stopped []string
	last.Containers, stopped = k.judged.apply(last.Containers, list)
	if last.Containers, err = k.withBelievedUnits(ctx, last.Containers, list); err != nil {
		return recover.Snapshot{}, seen{}, fmt.Errorf("cannot ask systemd what the units run: %w", err)
	}
	last.Containers = k.withoutSucceeded(last.Containers, list, sight.unanswered)
	if list, err = k.askIfStopped(ctx, last.Containers, list, sight.unanswered); err != nil {
		return recover.Snapshot{}, seen{}, fmt.Errorf("cannot ask podman which containers were stopped: %w", err)
	}
	states, err := k.world.Systemd.States(ctx, survey.Units(last.Containers))
	if err != nil {
		return recover.Snapshot{}, seen{}, fmt.Errorf("cannot ask systemd for the units: %w", err)
	}
	userStopped, err := k.suspects.review(list)
	if err != nil {
		return recover.Snapshot{}, seen{}, fmt.Errorf("cannot read the user-stopped list: %w", err)
	}
	sight.list = list
	k.preserver.saw(list)
	stopped = slices.Concat(userStopped, stopped)
	next := k.withStarting(sight.nextSet(last.Containers, states, stopped), last.Containers, stopped)
	k.showNow(list, states, sight.unanswered, lookBegan)
	k.stuck = sight.unanswered
	next, doubts := k.withoutStopped(ctx, next, last, states)
	next = k.withoutStartedOnce(ctx, next, last)
	// That members that are down were not stopped is known now, so it is saved. After a
	// crash of the host a replay of their ends would only guess it.
	k.pacer.saw(time.Now(), next, membersDown(next, list, states, sight.unanswered))
	return recover.Snapshot{
		Timestamp:   time.Now().Unix(),
		Containers:  next,
		Doubts:      doubts,
		BootID:      k.identity.BootID,
		SoftReboots: k.identity.SoftReboots,
		Monotonic:   began,
		GraphRoot:   k.world.storage.where(),
	}, seen{list, states, k.suspects.listed.allowed(userStopped, list)}, nil
}

// lookFinally is the look at the stop: it saves what was held back.
func (k *keeper) lookFinally(ctx context.Context) error {
	k.mu.Lock()
	k.final = true
	k.mu.Unlock()
	_, err := k.look(ctx)
	return err
}

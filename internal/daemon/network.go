package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// The pause between two tries of a container that fails for want of the network, while it
// is not known whether that is there. It doubles with each.
const (
	firstNetworkPause = 15 * time.Second
	lastNetworkPause  = 5 * time.Minute
)

// A network tells whether the host's network is there. Once it was, nothing is asked any
// more: systemd does not leave its target again.
type network struct {
	systemd recover.Systemd

	mu sync.Mutex
	up bool
	// pause is how long the next wait lasts if nobody knows of the network.
	pause time.Duration
	// wait is the wait for the network that is under way: all rows share it.
	wait *networkWait
}

type networkWait struct {
	ended chan struct{}
	err   error // valid once ended is closed
}

// state says whether the network is there. What cannot be asked delays nothing.
func (n *network) state(ctx context.Context) recover.NetworkState {
	n.mu.Lock()
	up := n.up
	n.mu.Unlock()
	if up {
		return recover.NetworkUp
	}
	state, err := n.systemd.NetworkState(ctx)
	if err != nil {
		return recover.NetworkUp
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = state == recover.NetworkUp
	return state
}

// nextPause returns how long to wait if nobody knows of the network.
func (n *network) nextPause() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pause = min(max(firstNetworkPause, 2*n.pause), lastNetworkPause)
	return n.pause
}

// awaitBetter returns when the state of the network is better. If nobody can say, it also
// returns after a pause: the next start will tell.
func (n *network) awaitBetter(ctx context.Context) error {
	than := n.state(ctx)
	if than != recover.NetworkUnsure {
		return n.systemd.AwaitNetwork(ctx, recover.NetworkDown)
	}
	bounded, cancel := context.WithTimeout(ctx, n.nextPause())
	defer cancel()
	err := n.systemd.AwaitNetwork(bounded, than)
	if err != nil && bounded.Err() == nil { // it cannot be awaited
		<-bounded.Done()
	}
	if ctx.Err() == nil {
		return nil
	}
	return ctx.Err()
}

// await returns when the network is there, or may be.
func (n *network) await(ctx context.Context) error {
	n.mu.Lock()
	w := n.wait
	first := w == nil
	if first {
		w = &networkWait{ended: make(chan struct{})}
		n.wait = w
	}
	n.mu.Unlock()
	if first {
		w.err = n.awaitBetter(ctx)
		n.mu.Lock()
		n.wait = nil
		n.mu.Unlock()
		close(w.ended)
	}
	select {
	case <-w.ended:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AwaitNetwork returns when the host's network is there, or may be.
func (s *starter) AwaitNetwork(ctx context.Context) error { return s.network.await(ctx) }

// startUnit starts the unit of a row. While the network is not there, it refuses to start
// one that needs the network, with an *engine.NotOnline. It starts others without the
// order after the network that podman's templates give to each unit.
func (s *starter) startUnit(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	job := row.Job && !row.Generated // a generated unit ends when the container runs
	start := func(ctx context.Context, unit string) (recover.Outcome, error) {
		if job {
			return s.world.Systemd.StartJob(ctx, unit, row.Without...)
		}
		if row.Retry != nil {
			return s.world.Systemd.StartAgain(ctx, unit, row.Without...)
		}
		return s.world.Systemd.Start(ctx, unit, row.Without...)
	}
	if s.network.state(ctx) != recover.NetworkDown { // where it is not known, the start will tell
		return start(ctx, row.Unit)
	}
	need, err := s.world.Systemd.NetworkNeed(ctx, row.Unit)
	switch {
	case err != nil:
		return start(ctx, row.Unit) // not known: its own order holds
	case need.By != "":
		return recover.Outcome{}, &engine.NotOnline{Why: need.By}
	case need.Ordered:
		start = func(ctx context.Context, unit string) (recover.Outcome, error) {
			return s.world.Systemd.StartOffline(ctx, unit, job, row.Without...)
		}
	}
	if row.Image == "" || row.Generated { // the image of a container that exists is there
		return start(ctx, row.Unit)
	}
	return s.startUnlessPulled(ctx, row, start)
}

// startUnlessPulled starts a unit, and asks podman meanwhile whether it has the image: a
// pull fails without the network, and may take minutes for that. The question does not
// delay the start.
func (s *starter) startUnlessPulled(
	ctx context.Context, row recover.Row, start func(context.Context, string) (recover.Outcome, error),
) (recover.Outcome, error) {
	type result struct {
		recover.Outcome
		err error
	}
	started, pulls := make(chan result, 1), make(chan struct{})
	both, cancel := context.WithCancel(ctx) // its end does not end the start job
	defer cancel()
	go func() {
		outcome, err := start(both, row.Unit)
		started <- result{outcome, err}
	}()
	go func() {
		if has, err := s.world.Podman.HasImage(both, row.Image); err == nil && !has {
			close(pulls)
		}
	}()
	select {
	case r := <-started:
		return r.Outcome, r.err
	case <-pulls:
		return recover.Outcome{}, &engine.NotOnline{Why: "its image " + row.Image + " is to be pulled"}
	}
}

// explainedByNetwork reports whether the absence of the network explains a cause of
// docs/failures.md, and the network is not known to be there.
func (s *starter) explainedByNetwork(ctx context.Context, reason string) bool {
	return slices.Contains([]string{"pull-dns", "pull-failed", "address-unavailable"}, reason) &&
		s.network.state(ctx) != recover.NetworkUp
}

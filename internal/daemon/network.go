package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// A network tells whether the host's network is there. Once it was, nothing is asked any
// more: systemd does not leave its target again.
type network struct {
	systemd recover.Systemd

	mu sync.Mutex
	up bool
	// wait is the wait for the network that is under way: all rows share it.
	wait *networkWait
}

type networkWait struct {
	ended chan struct{}
	err   error // valid once ended is closed
}

// missing reports whether the network is known not to be there. What cannot be asked
// delays nothing.
func (n *network) missing(ctx context.Context) bool {
	n.mu.Lock()
	up := n.up
	n.mu.Unlock()
	if up {
		return false
	}
	up, err := n.systemd.NetworkUp(ctx)
	if up {
		n.arrived()
	}
	return err == nil && !up
}

func (n *network) arrived() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = true
}

// await returns when the network is there.
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
		w.err = n.systemd.AwaitNetwork(ctx)
		if w.err == nil {
			n.arrived()
		}
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

// AwaitNetwork returns when the host's network is there.
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
		return s.world.Systemd.Start(ctx, unit, row.Without...)
	}
	if !s.network.missing(ctx) {
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
		if _, err := s.world.Podman.ImageID(both, row.Image); errors.Is(err, recover.ErrNoImage) {
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
// docs/failures.md, and the network is not there.
func (s *starter) explainedByNetwork(ctx context.Context, reason string) bool {
	return slices.Contains([]string{"pull-dns", "pull-failed", "address-unavailable"}, reason) && s.network.missing(ctx)
}

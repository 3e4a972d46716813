package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// answerWithin bounds each question to podman but for those about health. A start that
// hangs holds the lock of its container: podman lists nothing until it has that lock.
const answerWithin = 5 * time.Second

// errListLate: podman's list waits for a container that is stuck.
var errListLate = fmt.Errorf("podman's list of containers is late: %w", context.DeadlineExceeded)

// A patientPodman is podman with a time limit for each answer, and at most one list
// outstanding. podman goes on with a list that no caller waits for any more, so a new one
// each few seconds would pile up there. podman is not asked before its storage is mounted.
type patientPodman struct {
	recover.Podman
	storage *storage

	// ctx ends the outstanding list: once the service has ended, and no caller waits.
	ctx  context.Context
	stop context.CancelFunc
	// asking is the list that is outstanding.
	asking sync.WaitGroup

	mu sync.Mutex
	// outstanding is nil without a list.
	outstanding *listing
	// callers wait for a list.
	callers int
	closed  bool
}

// A listing is one question for podman's list.
type listing struct {
	done chan struct{} // closed when the answer is there
	late bool
	list []recover.Sighting
	err  error
}

func newPatientPodman(p recover.Podman, s *storage) *patientPodman {
	ctx, stop := context.WithCancel(context.Background())
	return &patientPodman{Podman: p, storage: s, ctx: ctx, stop: stop}
}

// close ends the outstanding list when the last caller has gone, which is an API request
// that is still under way, and which waits for answerWithin at most.
func (p *patientPodman) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.count(0)
	p.asking.Wait()
}

// count adds n to the callers that wait for a list.
func (p *patientPodman) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.callers += n
	if p.closed && p.callers == 0 {
		p.stop()
	}
}

// List implements recover.Podman. While a list is late it returns errListLate at once.
func (p *patientPodman) List(ctx context.Context) ([]recover.Sighting, error) {
	if err := p.storage.check(ctx); err != nil {
		return nil, err
	}
	p.count(1)
	defer p.count(-1)
	for {
		l, mine, late := p.begin()
		if late {
			return nil, errListLate
		}
		limit := time.NewTimer(answerWithin)
		select {
		case <-l.done:
			limit.Stop()
			if mine {
				return l.list, l.err
			}
			// It was asked for earlier, and may be from before what this list is for.
		case <-limit.C:
			p.mu.Lock()
			l.late = true
			p.mu.Unlock()
			return nil, errListLate
		case <-ctx.Done():
			limit.Stop()
			return nil, ctx.Err()
		}
	}
}

// begin returns the outstanding list, or begins one.
func (p *patientPodman) begin() (l *listing, mine, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.outstanding; l != nil {
		return l, false, l.late
	}
	l = &listing{done: make(chan struct{})}
	p.outstanding = l
	p.asking.Go(func() {
		l.list, l.err = p.Podman.List(p.ctx)
		p.mu.Lock()
		p.outstanding = nil
		p.mu.Unlock()
		close(l.done)
	})
	return l, true, false
}

// Inspect implements recover.Podman.
func (p *patientPodman) Inspect(ctx context.Context, name string) (recover.Sighting, error) {
	if err := p.storage.check(ctx); err != nil {
		return recover.Sighting{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return p.Podman.Inspect(ctx, name)
}

// GenerateUnit implements recover.Podman.
func (p *patientPodman) GenerateUnit(ctx context.Context, name string) (unit, text string, err error) {
	if err := p.storage.check(ctx); err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return p.Podman.GenerateUnit(ctx, name)
}

// StoppedByUser implements recover.Podman.
func (p *patientPodman) StoppedByUser(ctx context.Context, name string) (bool, error) {
	if err := p.storage.check(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return p.Podman.StoppedByUser(ctx, name)
}

// Binds implements recover.Podman.
func (p *patientPodman) Binds(ctx context.Context, name string) ([]string, error) {
	if err := p.storage.check(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return p.Podman.Binds(ctx, name)
}

// Dependencies implements recover.Podman.
func (p *patientPodman) Dependencies(ctx context.Context, name string) ([]string, error) {
	if err := p.storage.check(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return p.Podman.Dependencies(ctx, name)
}

// ImageID implements recover.Podman.
func (p *patientPodman) ImageID(ctx context.Context, image string) (string, error) {
	if err := p.storage.check(ctx); err != nil {
		return "", err
	}
	return p.Podman.ImageID(ctx, image)
}

// GraphRoot implements recover.Podman.
func (p *patientPodman) GraphRoot(ctx context.Context) (string, error) {
	if err := p.storage.check(ctx); err != nil {
		return "", err
	}
	return p.Podman.GraphRoot(ctx)
}

// notInTime reports whether podman did not answer in time, which says nothing of a
// container.
func notInTime(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

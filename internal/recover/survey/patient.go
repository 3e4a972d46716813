package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// AnswerWithin bounds each question to podman but for those about health and images. A
// start that hangs holds the lock of its container: podman lists nothing until it has
// that lock.
const AnswerWithin = 5 * time.Second

// ErrListLate says that podman's list waits for a container that is stuck.
var ErrListLate = fmt.Errorf("podman's list of containers is late: %w", context.DeadlineExceeded)

// A Patient is podman with a time limit for each answer, and at most one list
// outstanding. podman goes on with a list that no caller waits for any more, so a new one
// each few seconds would pile up there.
type Patient struct {
	recover.Podman

	// ctx ends the outstanding list: once the Patient is closed, and no caller waits.
	ctx  context.Context
	stop context.CancelFunc

	mu sync.Mutex
	// outstanding is nil without a list.
	outstanding *listing
	// asked is how many lists were asked for.
	asked int
	// callers wait for a list.
	callers int
	closed  bool
}

// A listing is one question for podman's list.
type listing struct {
	number int           // of the questions
	done   chan struct{} // closed when the answer is there
	late   bool
	list   []recover.Sighting
	err    error
}

// NewPatient returns a podman that waits for another one. Close ends it.
func NewPatient(p recover.Podman) *Patient {
	ctx, stop := context.WithCancel(context.Background())
	return &Patient{Podman: p, ctx: ctx, stop: stop}
}

// Close ends the outstanding list when the last caller has gone, which is an API request
// that is still under way, and which waits for AnswerWithin at most. No list begins any
// more.
func (p *Patient) Close() {
	p.mu.Lock()
	p.closed = true
	last := p.outstanding
	p.mu.Unlock()
	p.count(0)
	if last != nil {
		<-last.done
	}
}

// count adds n to the callers that wait for a list.
func (p *Patient) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.callers += n
	if p.closed && p.callers == 0 {
		p.stop()
	}
}

// List implements recover.Podman. The list is never older than the call: a caller that
// comes during a question waits for the next one, which all such callers share. While a
// list is late it returns ErrListLate at once.
func (p *Patient) List(ctx context.Context) ([]recover.Sighting, error) {
	p.count(1)
	defer p.count(-1)
	p.mu.Lock()
	before := p.asked
	p.mu.Unlock()
	for {
		l, err := p.join()
		if err != nil {
			return nil, err
		}
		limit := time.NewTimer(AnswerWithin)
		select {
		case <-l.done:
			limit.Stop()
			if l.number > before {
				return slices.Clone(l.list), l.err
			}
		case <-limit.C:
			p.mu.Lock()
			l.late = true
			p.mu.Unlock()
			return nil, ErrListLate
		case <-ctx.Done():
			limit.Stop()
			return nil, ctx.Err()
		}
	}
}

// join returns the outstanding list, or begins one.
func (p *Patient) join() (*listing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.outstanding
	switch {
	case l != nil && l.late:
		return nil, ErrListLate
	case l != nil:
		return l, nil
	case p.closed:
		return nil, context.Canceled
	}
	p.asked++
	l = &listing{number: p.asked, done: make(chan struct{})}
	p.outstanding = l
	go func() {
		defer close(l.done)
		l.list, l.err = p.Podman.List(p.ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.outstanding = nil
	}()
	return l, nil
}

// soon asks of one container, for AnswerWithin at most.
func soon[T any](ctx context.Context, name string, ask func(context.Context, string) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	answer, err := ask(bounded, name)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("podman did not answer for container %s within %s: %w", name, AnswerWithin, err)
	}
	return answer, err
}

// Inspect implements recover.Podman.
func (p *Patient) Inspect(ctx context.Context, name string) (recover.Sighting, error) {
	return soon(ctx, name, p.Podman.Inspect)
}

// StoppedByUser implements recover.Podman.
func (p *Patient) StoppedByUser(ctx context.Context, name string) (bool, error) {
	return soon(ctx, name, p.Podman.StoppedByUser)
}

// Binds implements recover.Podman.
func (p *Patient) Binds(ctx context.Context, name string) ([]string, error) {
	return soon(ctx, name, p.Podman.Binds)
}

// VolumeDevice implements recover.Podman.
func (p *Patient) VolumeDevice(ctx context.Context, volume string) (string, error) {
	return soon(ctx, volume, p.Podman.VolumeDevice)
}

// ConfigOf implements recover.Podman.
func (p *Patient) ConfigOf(ctx context.Context, name string) (recover.ContainerConfig, error) {
	return soon(ctx, name, p.Podman.ConfigOf)
}

// Health implements recover.Podman.
func (p *Patient) Health(ctx context.Context, name string) (recover.Health, error) {
	return soon(ctx, name, p.Podman.Health)
}

// GenerateUnit implements recover.Podman.
func (p *Patient) GenerateUnit(ctx context.Context, name string) (unit, text string, err error) {
	_, err = soon(ctx, name, func(ctx context.Context, name string) (struct{}, error) {
		var err error
		unit, text, err = p.Podman.GenerateUnit(ctx, name)
		return struct{}{}, err
	})
	return unit, text, err
}

// NotInTime reports whether podman did not answer in time, which says nothing of a
// container.
func NotInTime(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

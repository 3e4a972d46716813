package survey

import (
	"context"
	"sync"

	"archy-recovery/internal/recover"
)

// AskOnce is the host for the time of one plan: podman is asked once what each container
// depends on, though the order and the ties both need that. Each question takes the
// container's lock.
func (h Host) AskOnce() Host {
	h.Podman = &askedOnce{Podman: h.Podman, answers: map[string][]string{}}
	return h
}

type askedOnce struct {
	recover.Podman
	mu      sync.Mutex
	answers map[string][]string
}

// Dependencies implements recover.Podman. What podman did not answer is asked again.
func (p *askedOnce) Dependencies(ctx context.Context, name string) ([]string, error) {
	p.mu.Lock()
	needed, known := p.answers[name]
	p.mu.Unlock()
	if known {
		return needed, nil
	}
	needed, err := p.Podman.Dependencies(ctx, name)
	if err == nil {
		p.mu.Lock()
		p.answers[name] = needed
		p.mu.Unlock()
	}
	return needed, err
}

package survey

import (
	"context"
	"sync"

	"archy-recovery/internal/recover"
)

// AskOnce is the host for the time of one plan: podman is asked once what each container was
// made with, though the order and the ties both need that. Each question takes the
// container's lock. The configs are what it answered.
func (h Host) AskOnce() (Host, *Configs) {
	asked := &Configs{answers: map[string]recover.ContainerConfig{}}
	h.Podman = askedOnce{h.Podman, asked}
	return h, asked
}

// Configs are what podman has said in the time of one plan. They hold until READY: later a container may have
// been made anew.
type Configs struct {
	mu      sync.Mutex
	answers map[string]recover.ContainerConfig
}

// Known is what podman has said of a container, if it was asked and answered. nil knows nothing.
func (c *Configs) Known(name string) (config recover.ContainerConfig, known bool) {
	if c == nil {
		return config, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	config, known = c.answers[name]
	return config, known
}

// Forget has Known know nothing any more.
func (c *Configs) Forget() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.answers)
}

type askedOnce struct {
	recover.Podman
	asked *Configs
}

// ConfigOf implements recover.Podman. What podman did not answer is asked again.
func (p askedOnce) ConfigOf(ctx context.Context, name string) (recover.ContainerConfig, error) {
	if config, known := p.asked.Known(name); known {
		return config, nil
	}
	config, err := p.Podman.ConfigOf(ctx, name)
	if err == nil {
		p.asked.mu.Lock()
		p.asked.answers[name] = config
		p.asked.mu.Unlock()
	}
	return config, err
}

package podman

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"archy-recovery/internal/labels"
	"archy-recovery/internal/recover"
)

// List returns every container that podman knows, whatever its state. It leaves out
// containers whose name recover.CheckName refuses.
//
// podman waits for the lock of each container, so one that hangs holds up every list.
// Therefore a Client has one request for a list at most. A caller that comes during a
// request waits for the next one, which begins when that has ended, and which all such
// callers share. So an answer is never older than the call. A caller whose ctx ends
// leaves the request to the others; without any, it ends after 60 s by itself.
func (c *Client) List(ctx context.Context) ([]recover.Sighting, error) {
	l := c.lists.join(func() ([]recover.Sighting, error) {
		bounded, cancel := context.WithTimeout(context.Background(), c.listLimit)
		defer cancel()
		return c.list(bounded)
	})
	select {
	case <-l.done:
		return slices.Clone(l.list), l.err
	case <-ctx.Done():
		c.lists.leave(l)
		return nil, fmt.Errorf("podman's list of containers: %w", ctx.Err())
	}
}

// list makes one request for a list.
// (GET /libpod/containers/json)
func (c *Client) list(ctx context.Context) ([]recover.Sighting, error) {
	var list []listed
	if err := c.get(ctx, "containers/json?all=true", &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, errors.New("podman's list of containers is null")
	}
	sightings := make([]recover.Sighting, 0, len(list))
	for _, l := range list {
		if len(l.Names) == 0 {
			return nil, errors.New("podman's list of containers cannot be used: a container has no name")
		}
		// podman 5.4 accepts names that are too long for a unit or a file. Only the
		// container with such a name cannot be recovered.
		if recover.CheckName(l.Names[0]) == nil {
			sightings = append(sightings, l.sighting())
		}
	}
	return sightings, nil
}

// listed has the fields that are read of podman's ListContainer.
type listed struct {
	ID       string `json:"Id"`
	Names    []string
	Image    string
	State    string
	ExitCode int
	IsInfra  bool
	Labels   map[string]string
}

func (l listed) sighting() recover.Sighting {
	s := recover.Sighting{ID: l.ID, State: states[l.State], ExitCode: l.ExitCode, Infra: l.IsInfra}
	s.Name, s.Image = l.Names[0], l.Image
	labels.Read(&s.Container, l.Labels)
	return s
}

// states translates podman's words (libpod/define, ContainerStatus). It leaves out
// the states of a container that has not run: created, configured, initialized.
var states = map[string]recover.ContainerState{
	"running":  recover.StateRunning,
	"paused":   recover.StatePaused,
	"stopping": recover.StateStopping,
	"stopped":  recover.StateStopped,
	"exited":   recover.StateExited,
	"removing": recover.StateRemoving,
}

// The listings of a Client are the request for a list that runs, and the one after it.
type listings struct {
	mu            sync.Mutex
	running, next *listing
}

// A listing is one request for a list. list and err are set when done is closed.
type listing struct {
	done    chan struct{}
	waiting int // the callers
	list    []recover.Sighting
	err     error
}

// join returns a request that begins now or later. ask makes it.
func (s *listings) join(ask func() ([]recover.Sighting, error)) *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = &listing{done: make(chan struct{}), waiting: 1}
		go s.run(ask)
		return s.running
	}
	if s.next == nil {
		s.next = &listing{done: make(chan struct{})}
	}
	s.next.waiting++
	return s.next
}

// leave says that a caller does not wait any more.
func (s *listings) leave(l *listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.waiting--
}

// run makes the requests until there is none to make.
func (s *listings) run(ask func() ([]recover.Sighting, error)) {
	for l := s.current(); l != nil; l = s.advance() {
		l.list, l.err = ask()
		close(l.done)
	}
}

// current returns the request that runs.
func (s *listings) current() *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// advance lets the next request run, if a caller waits for it.
func (s *listings) advance() *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running, s.next = s.next, nil; s.running != nil && s.running.waiting == 0 {
		s.running = nil
	}
	return s.running
}

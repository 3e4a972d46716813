package podman

import (
	"context"
	"errors"

	"archy-recovery/internal/labels"
	"archy-recovery/internal/recover"
)

// List returns every container that podman knows, whatever its state. It leaves out
// containers whose name recover.CheckName refuses. podman waits for the lock of each
// container, so one that hangs holds up the list (survey.Patient).
// (GET /libpod/containers/json)
func (c *Client) List(ctx context.Context) ([]recover.Sighting, error) {
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
	// Status is the state of its health check. It is empty without one, and for a container
	// that has never run.
	Status string
}

func (l listed) sighting() recover.Sighting {
	s := recover.Sighting{ID: l.ID, State: states[l.State], ExitCode: l.ExitCode, Infra: l.IsInfra}
	s.Name, s.Image = l.Names[0], l.Image
	labels.Read(&s.Container, l.Labels)
	switch {
	case l.Status != "":
		s.Health = recover.HasHealthCheck
	case s.Running():
		s.Health = recover.NoHealthCheck
	}
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

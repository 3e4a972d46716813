package podman

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"archy-recovery/internal/labels"
	"archy-recovery/internal/recover"
)

// inspected has the fields that are read of one container
// (GET /libpod/containers/{name}/json).
type inspected struct {
	ID           string `json:"Id"`
	Name         string
	ImageName    string
	IsInfra      bool
	RestartCount int
	Config       struct {
		Labels      map[string]string
		Healthcheck *healthConfig
	}
	State struct {
		// podman 5 leaves a false out; podman 4.3 does not have the field.
		StoppedByUser *bool
		Status        string
		ExitCode      int
		OOMKilled     bool
		Health        struct{ Status string }
	}
	Mounts     []struct{ Type, Source, Name string }
	HostConfig struct{ RestartPolicy struct{ Name string } }
	// Dependencies are IDs of other containers.
	Dependencies []string
}

// inspect asks for one container. An error wraps recover.ErrNoContainer if podman does
// not know the name.
func (c *Client) inspect(ctx context.Context, name string) (inspected, error) {
	var i inspected
	if err := recover.CheckName(name); err != nil {
		return i, err
	}
	err := c.get(ctx, "containers/"+url.PathEscape(name)+"/json", &i)
	switch {
	case notFound(err):
		return inspected{}, fmt.Errorf("%w: %s: %w", recover.ErrNoContainer, name, err)
	case err != nil:
		return inspected{}, err
	case i.Name != name:
		// podman takes the beginning of an ID for the container with that ID.
		return inspected{}, fmt.Errorf("%s: %w", name, &recover.OtherContainer{Name: i.Name})
	}
	return i, nil
}

// Inspect returns one container as podman has it now. An error wraps
// recover.ErrNoContainer only if podman answers that it does not know the name. A start
// that hangs holds the lock of its container, and the answer waits for that lock.
// (GET /libpod/containers/{name}/json)
func (c *Client) Inspect(ctx context.Context, name string) (recover.Sighting, error) {
	i, err := c.inspect(ctx, name)
	if err != nil {
		return recover.Sighting{}, err
	}
	s := recover.Sighting{
		Container: recover.Container{Name: i.Name, Image: i.ImageName},
		ID:        i.ID,
		State:     states[i.State.Status],
		ExitCode:  i.State.ExitCode,
		Restarts:  i.RestartCount,
		OOMKilled: i.State.OOMKilled,
		Infra:     i.IsInfra,
	}
	labels.Read(&s.Container, i.Config.Labels)
	s.Health = recover.NoHealthCheck
	if i.Config.Healthcheck.command() != nil {
		s.Health = recover.HasHealthCheck
	}
	s.StoppedByUser = s.Ended() && c.stoppedByUser(i)
	return s, nil
}

// StoppedByUser reports whether podman was told to stop the container name
// since its last start. podman 4 does not tell, so the exit codes that `podman stop`
// leaves behind decide: to start again what a user stopped would be worse than to
// leave down what something else killed.
func (c *Client) StoppedByUser(ctx context.Context, name string) (bool, error) {
	i, err := c.inspect(ctx, name)
	return err == nil && c.stoppedByUser(i), err
}

// stoppedByUser is StoppedByUser for a container that was inspected.
func (c *Client) stoppedByUser(i inspected) bool {
	switch said := i.State.StoppedByUser; {
	case said != nil:
		return *said
	case !strings.HasPrefix(c.version.Load().(string), "4."):
		return false
	}
	return slices.Contains(recover.StopCodes, i.State.ExitCode) && !i.State.OOMKilled
}

// RestartsAtBoot reports whether podman-restart.service starts the container name at boot:
// one with --restart=always, and since podman 5.8 also one with unless-stopped (podman pull
// request 27619).
func (c *Client) RestartsAtBoot(ctx context.Context, name string) (bool, error) {
	i, err := c.inspect(ctx, name)
	switch i.HostConfig.RestartPolicy.Name {
	case "always":
		return true, err
	case "unless-stopped":
		return atLeast(c.version.Load().(string), 5, 8), err
	}
	return false, err
}

// atLeast reports whether a version, such as 5.8.0-dev, is major.minor or later.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(version, "%d.%d", &a, &b); n < 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

// Binds returns the sources of the bind mounts of the container name, and the devices of its
// named volumes. It leaves out a volume that podman cannot be asked about.
func (c *Client) Binds(ctx context.Context, name string) ([]string, error) {
	i, err := c.inspect(ctx, name)
	var sources []string
	for _, m := range i.Mounts {
		switch m.Type {
		case "bind":
			sources = append(sources, m.Source)
		case "volume":
			if device, err := c.VolumeDevice(ctx, m.Name); err == nil && device != "" {
				sources = append(sources, device)
			}
		}
	}
	return sources, err
}

// VolumeDevice returns the absolute path that a named volume mounts, as with --opt o=bind or
// o=loop of podman-volume-create(1). It is empty for a volume in podman's own storage, and
// for one on the network.
// (GET /libpod/volumes/{name}/json)
func (c *Client) VolumeDevice(ctx context.Context, volume string) (string, error) {
	var v struct{ Options map[string]string }
	if err := c.get(ctx, "volumes/"+url.PathEscape(volume)+"/json", &v); err != nil {
		return "", err
	}
	if device := v.Options["device"]; path.IsAbs(device) {
		return device, nil
	}
	return "", nil
}

// ConfigOf returns what the container name was made with. podman knows the containers that it
// needs by their IDs (libpod's Container.Dependencies). It is empty if podman does not know the name.
func (c *Client) ConfigOf(ctx context.Context, name string) (recover.ContainerConfig, error) {
	i, err := c.inspect(ctx, name)
	if errors.Is(err, recover.ErrNoContainer) {
		return recover.ContainerConfig{}, nil
	}
	config := recover.ContainerConfig{HealthCheck: i.Config.Healthcheck.command() != nil}
	for _, id := range i.Dependencies {
		needed, err := c.nameOf(ctx, id)
		if err != nil {
			return recover.ContainerConfig{}, fmt.Errorf("what container %s needs is not known: %w", name, err)
		}
		config.Needs = append(config.Needs, needed)
	}
	return config, err
}

// nameOf returns the name of the container with an ID.
func (c *Client) nameOf(ctx context.Context, id string) (string, error) {
	var i inspected
	err := c.get(ctx, "containers/"+url.PathEscape(id)+"/json", &i)
	return i.Name, err
}

// ImageID returns the ID of the image that a reference names now. An error wraps
// recover.ErrNoImage only if podman answers that it has no such image.
// (GET /libpod/images/{name}/json)
func (c *Client) ImageID(ctx context.Context, image string) (string, error) {
	var i struct {
		ID string `json:"Id"`
	}
	err := c.get(ctx, "images/"+url.PathEscape(image)+"/json", &i)
	if notFound(err) {
		return "", fmt.Errorf("%w: %s: %w", recover.ErrNoImage, image, err)
	}
	return i.ID, err
}

// HasImage reports whether podman has the image of a reference. Unlike ImageID it does not have
// podman add up the sizes of the layers.
// (GET /libpod/images/{name}/exists)
func (c *Client) HasImage(ctx context.Context, image string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := c.ask(ctx, http.MethodGet, "images/"+url.PathEscape(image)+"/exists", nil, nil)
	if notFound(err) {
		return false, nil
	}
	return err == nil, err
}

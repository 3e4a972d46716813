package podman

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// healthConfig is a health check as podman has it. The first word of Test says how the
// others are run (podman-run(1), --health-cmd).
type healthConfig struct {
	Test    []string
	Timeout time.Duration
}

// command is what the check runs, nil without one (libpod's runHealthCheck).
func (h *healthConfig) command() []string {
	if h == nil || len(h.Test) == 0 {
		return nil
	}
	command := h.Test
	switch h.Test[0] {
	case "NONE":
		return nil
	case "CMD":
		command = h.Test[1:]
	case "CMD-SHELL":
		command = []string{"sh", "-c", strings.Join(h.Test[1:], " ")}
	}
	if len(command) == 0 || command[0] == "" {
		return nil
	}
	return command
}

// Health returns the health check of the container name. ErrNoContainer: podman does not
// know the name.
func (c *Client) Health(ctx context.Context, name string) (recover.Health, error) {
	i, err := c.inspect(ctx, name)
	if err != nil {
		return recover.Health{}, err
	}
	h := recover.Health{
		Command: i.Config.Healthcheck.command(),
		Passed:  i.State.Health.Status == "healthy",
		Running: states[i.State.Status] == recover.StateRunning,
	}
	if h.Command != nil {
		h.Timeout = i.Config.Healthcheck.Timeout
	}
	return h, nil
}

// TryHealth runs a command in the container name, and reports whether it has ended with 0.
// What podman knows of the container's health stays as it is. When ctx ends, the command
// goes on in the container: the API cannot end it.
// (POST /libpod/containers/{name}/exec, POST /libpod/exec/{id}/start, GET /libpod/exec/{id}/json)
func (c *Client) TryHealth(ctx context.Context, name string, command []string) (passed bool, err error) {
	if err := recover.CheckName(name); err != nil {
		return false, err
	}
	var session struct {
		ID string `json:"Id"`
	}
	config := struct {
		Cmd                        []string
		AttachStdout, AttachStderr bool
	}{command, true, true}
	err = c.post(ctx, "containers/"+url.PathEscape(name)+"/exec", config, &session)
	if notFound(err) {
		return false, fmt.Errorf("%w: %s: %w", recover.ErrNoContainer, name, err)
	}
	if err != nil {
		return false, err
	}
	at := "exec/" + url.PathEscape(session.ID)
	if err := c.post(ctx, at+"/start", struct{ Detach bool }{false}, nil); err != nil {
		return false, err
	}
	var end struct {
		Running  bool
		ExitCode int
	}
	if err := c.get(ctx, at+"/json", &end); err != nil {
		return false, err
	}
	return !end.Running && end.ExitCode == 0, nil
}

// RunHealthCheck has podman run its own check of the container name. Its end is no error,
// also if it fails.
// (GET /libpod/containers/{name}/healthcheck)
func (c *Client) RunHealthCheck(ctx context.Context, name string) error {
	if err := recover.CheckName(name); err != nil {
		return err
	}
	var result json.RawMessage
	return c.get(ctx, "containers/"+url.PathEscape(name)+"/healthcheck", &result)
}

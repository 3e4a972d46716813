// Package podman speaks podman's libpod REST API over its unix socket. It uses
// the v4.0.0 paths, which podman 4.3 and 5.x both serve.
package podman

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"archy-recovery/internal/recover"

	"github.com/coreos/go-systemd/v22/unit"
)

// A Client talks to one podman. It implements recover.Podman.
type Client struct {
	http http.Client
	wake func(context.Context) error
	// version is podman's, as its last answer said: a string.
	version atomic.Value
}

const (
	// callTimeout bounds one call: podman may have to be started for it, on a
	// busy machine that has just booted.
	callTimeout = 60 * time.Second
	// maxAnswer bounds what is read of an answer: some 5,000 containers.
	maxAnswer = 32 << 20
)

// New returns a client for the podman that serves socket. wake is called when
// nobody listens there, and should start podman's socket unit; then the call
// is tried once more.
func New(socket string, wake func(context.Context) error) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	// podman ends 5 s after its last connection; ours must not keep it up.
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	c := &Client{http: http.Client{Transport: transport}, wake: wake}
	c.version.Store("")
	return c
}

// List returns every container podman knows, running or not, but for those
// whose names recover.CheckName refuses.
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
			return nil, errors.New("podman's list of containers makes no sense: one has no name")
		}
		// podman 5.4 takes names that are too long for a unit or a file. One
		// such container cannot be recovered; the others can.
		if recover.CheckName(l.Names[0]) == nil {
			sightings = append(sightings, l.sighting())
		}
	}
	return sightings, nil
}

// listed is what we read of podman's ListContainer.
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
	s := recover.Sighting{ID: l.ID, State: l.State, ExitCode: l.ExitCode, Infra: l.IsInfra}
	s.Name, s.Image, s.Unit = l.Names[0], l.Image, l.Labels["PODMAN_SYSTEMD_UNIT"]
	if text, ok := l.Labels[recover.TierLabel]; ok {
		// A label that is no tier is the default tier.
		if tier, err := recover.ParseTier(text); err == nil {
			s.Tier = &tier
		}
	}
	return s
}

// GenerateUnit returns a unit that starts the existing container name: the one
// that podman generates, but for what would keep managing the container. It was
// run without a unit, so after the start it is podman's and its user's alone: a
// unit with Restart=, PIDFile= (of an ID that may be gone) and ExecStopPost=
// starts again what a user stopped, and stops what a user re-created.
// (GET /libpod/generate/{name}/systemd, podman-generate-systemd(1))
func (c *Client) GenerateUnit(ctx context.Context, name string) (unitName, text string, err error) {
	if err := recover.CheckName(name); err != nil {
		return "", "", err
	}
	var units map[string]string
	if err := c.get(ctx, "generate/"+url.PathEscape(name)+"/systemd?useName=true&restartPolicy=no", &units); err != nil {
		return "", "", err
	}
	text, ok := units["container-"+name]
	if !ok {
		return "", "", fmt.Errorf("podman generated no unit container-%s", name)
	}
	text, err = onlyStart(text)
	if err != nil {
		return "", "", fmt.Errorf("what podman generated for %s cannot be used: %w", name, err)
	}
	return "container-" + name + ".service", text, nil
}

// onlyStart keeps of a generated unit what starts the container.
func onlyStart(text string) (string, error) {
	options, err := unit.DeserializeOptions(strings.NewReader(text))
	if err != nil {
		return "", err
	}
	var kept []*unit.UnitOption
	for _, o := range options {
		if o.Section == "Unit" || o.Section == "Service" && o.Name == "ExecStart" {
			kept = append(kept, o)
		}
	}
	if !slices.ContainsFunc(kept, func(o *unit.UnitOption) bool { return o.Section == "Service" && o.Name == "ExecStart" }) {
		return "", errors.New("it has no ExecStart=")
	}
	kept = append(kept,
		unit.NewUnitOption("Service", "Type", "oneshot"),
		// What podman leaves running (conmon, network helpers) is the
		// container's, and outlives the start.
		unit.NewUnitOption("Service", "KillMode", "process"))
	whole, err := io.ReadAll(unit.Serialize(kept))
	if err != nil {
		return "", err
	}
	// A value that ends in a backslash would swallow the line after it.
	again, err := unit.DeserializeOptions(bytes.NewReader(whole))
	if err != nil || !slices.EqualFunc(kept, again, func(a, b *unit.UnitOption) bool { return *a == *b }) {
		return "", errors.New("what is kept of it does not read as it was meant")
	}
	return string(whole), nil
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := c.open(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("podman's answer to %s cannot be read: %w", path, err)
	}
	return nil
}

// open asks and returns the body of a good answer.
func (c *Client) open(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podman/v4.0.0/libpod/"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		// Not while dialling: net/http lets that outlive ctx.
		if wakeErr := c.wake(ctx); wakeErr != nil {
			return nil, fmt.Errorf("podman: %w; podman.socket cannot be started: %w", err, wakeErr)
		}
		res, err = c.http.Do(req)
	}
	if err != nil {
		return nil, fmt.Errorf("podman: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		var problem struct{ Cause, Message string }
		_ = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&problem) // the status says enough
		res.Body.Close()
		return nil, fmt.Errorf("podman: %s: %s", res.Status, problem.Message)
	}
	c.version.Store(res.Header.Get("Libpod-API-Version"))
	return res.Body, nil
}

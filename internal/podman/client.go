// Package podman is a client of podman's libpod REST API over its unix socket. It
// uses the v4.0.0 paths, which podman 4.3 and 5.x both serve.
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
	"sync/atomic"
	"syscall"
	"time"
)

// A Client asks one podman. It implements recover.Podman.
type Client struct {
	http   http.Client
	socket string
	// starter is the path of the program through which generated units start containers, or "".
	starter string
	wake    func(context.Context) error
	// version is the version of podman in its last answer, a string.
	version atomic.Value
}

const (
	// callTimeout bounds one call. The call may have to start podman, on a busy
	// machine that has just booted.
	callTimeout = 60 * time.Second
	// maxAnswer bounds how much of an answer is read, in bytes. A list of 5,000
	// containers fits.
	maxAnswer = 32 << 20
)

// New returns a client of the podman that serves socket. If nothing listens there,
// the client calls wake, which should start podman's socket unit, and tries the call
// once more.
func New(socket string, wake func(context.Context) error) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	// podman exits 5 s after its last connection, and ours must not keep it running.
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	c := &Client{http: http.Client{Transport: transport}, socket: socket, wake: wake}
	c.version.Store("")
	return c
}

// StartThrough makes generated units start their containers through a program that asks
// podman's service (cmd/start-container), and no longer by a podman each. program is its
// absolute path.
func (c *Client) StartThrough(program string) { c.starter = program }

// get asks for path and reads the JSON of the answer into a value.
func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.ask(ctx, http.MethodGet, path, nil, into)
}

// post sends a value as JSON, and reads the JSON of the answer into another. Without that it
// reads the answer to its end, which is the end of what was started.
func (c *Client) post(ctx context.Context, path string, value, into any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.ask(ctx, http.MethodPost, path, body, into)
}

// ask makes one request, and reads the JSON of the answer into a value, or the answer to its
// end without one.
func (c *Client) ask(ctx context.Context, method, path string, body []byte, into any) error {
	answer, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		_, err = io.Copy(io.Discard, answer)
	} else {
		err = json.NewDecoder(io.LimitReader(answer, maxAnswer)).Decode(into)
	}
	if err != nil {
		return fmt.Errorf("podman's answer to %s cannot be read: %w", path, err)
	}
	return nil
}

// open asks for path and returns the body of the answer. An answer whose status is no
// success is an error, a refusal. A request with a body has JSON.
func (c *Client) open(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://podman/v4.0.0/libpod/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.send(req)
}

// send makes a request whose body, if it has one, can be had again, and returns the body of the
// answer, as open does.
func (c *Client) send(req *http.Request) (io.ReadCloser, error) {
	res, err := c.http.Do(req)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		// The dial function cannot do this, because net/http lets a dial outlive ctx.
		if wakeErr := c.wake(req.Context()); wakeErr != nil {
			return nil, fmt.Errorf("podman: %w; podman.socket cannot be started: %w", err, wakeErr)
		}
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		res, err = c.http.Do(req)
	}
	if err != nil {
		return nil, fmt.Errorf("podman: %w", err)
	}
	if res.StatusCode/100 != 2 {
		var problem struct{ Cause, Message string }
		_ = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&problem) // the status says enough
		res.Body.Close()
		return nil, &refusal{res.StatusCode, fmt.Sprintf("podman: %s: %s", res.Status, problem.Message)}
	}
	c.version.Store(res.Header.Get("Libpod-API-Version"))
	return res.Body, nil
}

// A refusal is an answer with an HTTP status that is no success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// notFound reports whether an error is podman's answer that it does not know what it was
// asked for.
func notFound(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == http.StatusNotFound
}

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"archy-recovery/internal/recover"
)

// A Client asks the daemon that serves a socket.
type Client struct {
	http http.Client
}

// NewClient returns a client for the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.do(ctx, http.MethodGet, "status", &st)
	return st, err
}

// Snapshot asks for a full check of the running set.
func (c *Client) Snapshot(ctx context.Context) (recover.Snapshot, error) {
	var s recover.Snapshot
	err := c.do(ctx, http.MethodPost, "snapshot", &s)
	return s, err
}

// UserStopped asks for the user-stopped list.
func (c *Client) UserStopped(ctx context.Context) (UserStopped, error) {
	var u UserStopped
	err := c.do(ctx, http.MethodGet, "user-stopped", &u)
	return u, err
}

// SetUserStopped puts a name on the list, or takes it off.
func (c *Client) SetUserStopped(ctx context.Context, name string, stopped bool) (UserStopped, error) {
	method := http.MethodDelete
	if stopped {
		method = http.MethodPut
	}
	var u UserStopped
	err := c.do(ctx, method, "user-stopped/"+url.PathEscape(name), &u)
	return u, err
}

// Quarantine asks for the suspects.
func (c *Client) Quarantine(ctx context.Context) (Quarantine, error) {
	var q Quarantine
	err := c.do(ctx, http.MethodGet, "quarantine", &q)
	return q, err
}

// Release takes a name out of quarantine.
func (c *Client) Release(ctx context.Context, name string) (Quarantine, error) {
	var q Quarantine
	err := c.do(ctx, http.MethodDelete, "quarantine/"+url.PathEscape(name), &q)
	return q, err
}

// Recoveries asks for the history, oldest first.
func (c *Client) Recoveries(ctx context.Context) (Recoveries, error) {
	var r Recoveries
	err := c.do(ctx, http.MethodGet, "recoveries", &r)
	return r, err
}

// Plan asks what would be started if the machine died now.
func (c *Client) Plan(ctx context.Context) (recover.Preview, error) {
	var p recover.Preview
	err := c.do(ctx, http.MethodGet, "plan", &p)
	return p, err
}

// Follow calls each with the status, and again at each change, until each
// returns false (nil), the daemon ends the stream (io.ErrUnexpectedEOF), or
// ctx ends.
func (c *Client) Follow(ctx context.Context, each func(Status) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, "events")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var st Status
		if err := json.Unmarshal(data, &st); err != nil {
			return fmt.Errorf("the daemon's event cannot be read: %w", err)
		}
		if !each(st) {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(io.ErrUnexpectedEOF, lines.Err())
}

const (
	maxAnswer  = 32 << 20
	answerTime = 60 * time.Second
)

func (c *Client) do(ctx context.Context, method, path string, into any) error {
	// Long enough for a service that the connection has yet to start.
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errors.New("the daemon does not answer"))
	defer cancel()
	res, err := c.send(ctx, method, path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("the daemon's answer cannot be read: %w", err)
	}
	return nil
}

// send returns an answer of success; any other is an error with the daemon's
// own words.
func (c *Client) send(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://archy-recovery/v1/"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the made-up URL says nothing to a person
		}
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var p Problem
	if json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&p) != nil || p.Detail == "" {
		return nil, fmt.Errorf("the daemon answered %s", res.Status)
	}
	return nil, errors.New(p.Detail)
}

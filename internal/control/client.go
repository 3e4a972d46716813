package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A Client asks the daemon that serves a socket. Its errors contain the detail
// of the daemon's Problem.
type Client struct {
	http http.Client
}

const (
	// maxAnswer is the largest answer that the client reads, in bytes.
	maxAnswer = 32 << 20
	// answerTimeout leaves time for systemd to start the daemon, which the
	// first connection to the activated socket causes.
	answerTimeout = 60 * time.Second
)

// NewClient returns a client for the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// call sends a request to a path below /v1/ and decodes its answer.
func call[T any](ctx context.Context, c *Client, method, path string) (answer T, err error) {
	return callWithin[T](ctx, c, answerTimeout, method, path)
}

// callWithin is call for what may take longer.
func callWithin[T any](
	ctx context.Context, c *Client, within time.Duration, method, path string,
) (answer T, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the daemon did not answer within %s", within))
	defer cancel()
	res, err := c.send(ctx, method, path)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return answer, nil
}

// send returns an answer with status 200. Any other answer is an error with the
// detail of its Problem.
func (c *Client) send(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://archy-recovery/v1/"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, whose host is a placeholder
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

package software

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"archy-recovery/test/change"
)

// Dial connects to an address from outside of the machine.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Client asks the application through nginx.
type Client struct {
	url  string
	http http.Client
}

// NewClient returns a client of the stack whose nginx has this address. A request may take
// as long as the limit.
func NewClient(dial Dial, address string, limit time.Duration) *Client {
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: writers}
	return &Client{"http://" + address, http.Client{Transport: transport, Timeout: limit}}
}

// do makes a request, and returns the answer if it has this status.
func (c *Client) do(ctx context.Context, method, path string, want int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		return "", err
	}
	// A connection that is kept would hang on after a cut: nobody is left to end it.
	req.Close = method == http.MethodGet
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != want {
		return "", fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return string(text), nil
}

// Answer asks for the front page, which needs the application and all its stores.
func (c *Client) Answer(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/", http.StatusOK)
	return err
}

// writers is the number of writes that are under way at once.
const writers = 4

// A Writer writes rows to PostgreSQL, MariaDB and Redis, and knows which of them were
// acknowledged by all three.
type Writer struct {
	client *Client
	cancel context.CancelFunc
	ended  sync.WaitGroup
	state  *change.State // guards the fields below
	next   int
	acked  []int
	failed error // of the first write that was not acknowledged
}

// Write begins to write.
func Write(client *Client) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{client: client, cancel: cancel, state: change.NewState()}
	for range writers {
		w.ended.Go(func() { w.write(ctx) })
	}
	return w
}

// write writes row after row until a write fails, as all do when the power has failed.
func (w *Writer) write(ctx context.Context) {
	for {
		var row int
		w.state.Change(func() { w.next++; row = w.next })
		_, err := w.client.do(ctx, http.MethodPost, fmt.Sprintf("/rows/%d", row), http.StatusCreated)
		w.state.Change(func() {
			if err == nil {
				w.acked = append(w.acked, row)
			} else if w.failed == nil {
				w.failed = err
			}
		})
		if err != nil {
			return
		}
	}
}

// Await waits until so many rows are acknowledged. It returns an error if a write has
// failed before that.
func (w *Writer) Await(ctx context.Context, rows int) error {
	return w.state.Await(ctx, fmt.Sprintf("%d acknowledged rows", rows), func() (bool, error) {
		return len(w.acked) >= rows, w.failed
	})
}

// Stop ends the writes, after the cut, and returns the number of acknowledged rows. What
// was under way at the cut has an unknown outcome.
func (w *Writer) Stop() int {
	w.cancel()
	w.ended.Wait()
	w.client.http.CloseIdleConnections()
	return len(w.acked)
}

// Lost returns an error that names the acknowledged rows that a store does not have. Writes
// have been stopped.
func (w *Writer) Lost(ctx context.Context) error {
	for _, store := range []string{"postgres", "mariadb", "redis"} {
		text, err := w.client.do(ctx, http.MethodGet, "/rows/"+store, http.StatusOK)
		if err != nil {
			return err
		}
		there := map[int]bool{}
		for _, word := range strings.Fields(text) {
			row, err := strconv.Atoi(word)
			if err != nil {
				return fmt.Errorf("%s has the row %q: %w", store, word, err)
			}
			there[row] = true
		}
		lost := slices.DeleteFunc(slices.Clone(w.acked), func(row int) bool { return there[row] })
		if len(lost) > 0 {
			return fmt.Errorf("%s has lost %d of %d acknowledged rows: %v", store, len(lost), len(w.acked), lost)
		}
	}
	return nil
}

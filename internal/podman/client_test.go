package podman

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// neverWake is for a socket on which a podman listens.
func neverWake(context.Context) error { return errors.New("woken without need") }

// serve answers requests on a socket with h until the test ends.
func serve(t *testing.T, socket string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
}

// socketIn returns the path of a socket. It does not contain the name of the test,
// because the path of a socket must be short.
func socketIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "podman")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "podman.sock")
}

// clientOf returns a client of a podman that answers each request with h.
func clientOf(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := socketIn(t)
	serve(t, socket, h)
	return New(socket, neverWake)
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// answersOf answers as a podman of the given version.
func answersOf(version, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Libpod-API-Version", version)
		answers(http.StatusOK, body)(w, r)
	}
}

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		container := fmt.Appendf(nil, `{"Names":[%q],"Labels":{"l":%q}},`,
			strings.Repeat("a", 200), strings.Repeat("x", 64<<10))
		_, err := w.Write([]byte("["))
		for err == nil {
			_, err = w.Write(container)
			sent.Add(int64(len(container)))
		}
	})
	got, err := c.List(t.Context())
	if err == nil {
		t.Errorf("got %d containers", len(got))
	}
	if n := sent.Load(); n > 2*maxAnswer {
		t.Errorf("podman could send %d bytes", n)
	}
}

func TestHangingPodman(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w http.ResponseWriter){
		"before its answer": func(http.ResponseWriter) {},
		"within its answer": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`[{"Names":["a"]},`))
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				close(asked)
				<-r.Context().Done() // ends when the client hangs up
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; cancel() }()
			if got, err := c.List(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestWakeOnce(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, socket string){
		"no socket": func(*testing.T, string) {},
		"socket of a dead podman": func(t *testing.T, socket string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := socketIn(t)
			prepare(t, socket)
			woken := 0
			c := New(socket, func(context.Context) error {
				woken++
				os.Remove(socket)
				serve(t, socket, answers(http.StatusOK, podman54))
				return nil
			})
			for range 2 {
				if got, err := c.List(t.Context()); err != nil || len(got) != 5 {
					t.Errorf("got %v, %v", got, err)
				}
			}
			if woken != 1 {
				t.Errorf("woken %d times", woken)
			}
		})
	}
}

func TestWakeFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("podman.socket is masked")
	for name, c := range map[string]struct {
		wake error
		want []error
	}{
		"podman.socket cannot be started":     {failure, []error{failure, syscall.ENOENT}},
		"podman.socket starts without effect": {nil, []error{syscall.ENOENT}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			woken := 0
			_, err := New(socketIn(t), func(context.Context) error { woken++; return c.wake }).List(t.Context())
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			if woken != 1 {
				t.Errorf("woken %d times", woken)
			}
		})
	}
}

func TestHangingWake(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	woken := make(chan struct{})
	c := New(socketIn(t), func(ctx context.Context) error {
		defer close(woken)
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := c.List(ctx)
	defer func() { <-woken }()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnusableSocket(t *testing.T) {
	t.Parallel()
	// A path that is too long fails as one without permission does: to wake podman
	// would not help.
	_, err := New("/"+strings.Repeat("x", 200), neverWake).List(t.Context())
	if err == nil || strings.Contains(err.Error(), "woken") {
		t.Errorf("got %v", err)
	}
}

// podman exits some time after its last connection.
func TestConnectionClosed(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(answers(http.StatusOK, podman54))
	server.Listener.Close()
	server.Listener = l
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	if _, err := New(socket, neverWake).List(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the connection is still open")
	}
}

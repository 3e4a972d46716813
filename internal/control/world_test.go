package control

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"go.uber.org/goleak"
)

// askAs is an environment variable that makes this test binary a peer: it sends
// the variable's request to a socket and prints the answer.
const askAs = "CONTROL_TEST_ASK"

func TestMain(m *testing.M) {
	if request := os.Getenv(askAs); request != "" {
		method, rest, _ := strings.Cut(request, " ")
		path, socket, _ := strings.Cut(rest, " ")
		a, err := ask(socket, method+" "+path, "")
		fmt.Println(a.StatusCode, a.Header.Get("Content-Type"), a.body, err)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// worldOf is a make-believe host as a service's world.
func worldOf(h *recovertest.Host, log *slog.Logger) daemon.World {
	return daemon.World{
		Store:        recovertest.Store{H: h},
		Podman:       recovertest.Podman{H: h},
		Systemd:      recovertest.Systemd{H: h},
		Journal:      recovertest.Journal{H: h},
		Notifier:     recovertest.Notifier{H: h},
		Gauge:        recovertest.Gauge{H: h},
		StorageUnits: recovertest.Storage{H: h},
		Mender:       recovertest.Storage{H: h},
		Log:          log,
	}
}

// An instance is a server and the service behind it.
type instance struct {
	t       *testing.T
	world   *recovertest.Host
	service *daemon.Service
	socket  string
	client  *Client
	stop    func()       // what SIGTERM does
	served  <-chan error // what Serve returned
	quiet   chan struct{}
	saved   <-chan struct{} // closed when the service has first saved its set
	list    *atomic.Value   // of the type of listedBoots: what GET /v1/boots reads
}

// A savedWatch is the log of a service, and tells when that has first saved its
// set.
type savedWatch struct {
	slog.Handler
	once  sync.Once
	first chan struct{}
}

func (w *savedWatch) Enabled(context.Context, slog.Level) bool { return true }

func (w *savedWatch) Handle(_ context.Context, r slog.Record) error {
	for a := range r.Attrs {
		if a.Value.String() == recover.MsgSnapshotSaved {
			w.once.Do(func() { close(w.first) })
		}
	}
	return nil
}

var silent = slog.New(slog.DiscardHandler)

// newDaemon serves w for an instance of uid. Its service does nothing before
// run.
func newDaemon(t *testing.T, w *recovertest.Host, uid int) *instance {
	t.Helper()
	return newLimitedDaemon(t, w, uid, silent, defaultLimits)
}

// newLimitedDaemon is one with limits and a log of its own.
func newLimitedDaemon(t *testing.T, w *recovertest.Host, uid int, log *slog.Logger, l limits) *instance {
	t.Helper()
	// Not t.TempDir(): a socket's path must stay below 108 bytes, and other
	// users are to reach it.
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "control.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	saved := &savedWatch{Handler: slog.DiscardHandler, first: make(chan struct{})}
	service := daemon.New(worldOf(w, slog.New(saved)),
		recover.DefaultPolicy(), recover.Identity{BootID: "b2", PID: 50, StartTime: 900})
	ctx, stop := context.WithCancel(context.Background())
	served, quiet := make(chan error, 1), make(chan struct{}, 100)
	server := newServer(service, "system", "1.2.3", uid, log, l)
	server.OnIdle(func() {
		select {
		case quiet <- struct{}{}:
		default:
		}
	})
	var list atomic.Value
	list.Store(listedBoots)
	server.SetBoots(func(ctx context.Context, n int) ([]recover.Boot, error) {
		list, _ := list.Load().(func(context.Context, int) ([]recover.Boot, error))
		return list(ctx, n)
	})
	go func() {
		served <- server.Serve(ctx, listener)
		close(served)
	}()
	d := &instance{
		t: t, world: w, service: service, socket: socket, client: NewClient(socket), stop: stop,
		served: served, quiet: quiet, saved: saved.first, list: &list,
	}
	t.Cleanup(func() { stop(); <-served })
	return d
}

// listedBoots is a journal with two boots. A power loss ended the first.
func listedBoots(context.Context, int) ([]recover.Boot, error) {
	at := time.Unix(1_700_000_000, 0)
	return []recover.Boot{
		{Index: -1, BootID: "b1", First: at, Last: at.Add(time.Hour), Cause: recover.CausePowerLoss,
			Evidence: []recover.Entry{{Cursor: "c", Time: at.Add(time.Hour), Message: "the last words"}}},
		{BootID: "b2", First: at.Add(2 * time.Hour), Last: at.Add(3 * time.Hour)},
	}, nil
}

// run starts the service's recovery. The service ends with the test.
func (d *instance) run() *instance {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.service.Run(ctx) }()
	d.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			d.t.Error("Run: ", err)
		}
	})
	return d
}

// ready waits until recovery is complete and the service has saved its set for
// the first time, which it always does.
func (d *instance) ready() *instance {
	d.t.Helper()
	for {
		st, changed := d.service.Status()
		if st.State == recover.Ready {
			await(d.t, d.saved, "the first save of the set")
			return d
		}
		await(d.t, changed, "the next change of the service")
	}
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("timed out: ", what)
		panic("unreachable")
	}
}

// An answer is one whose body was read.
type answer struct {
	http.Response
	body string
}

// ask sends one request, such as "GET /v1/status", unchanged. more follows the
// request line and the Host header.
func ask(socket, request, more string) (answer, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	go func() { // while reading: the server may answer before it has read everything
		_, _ = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", request, cmp.Or(more, "\r\n"))
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{*res, string(body)}, err
}

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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"go.uber.org/goleak"
)

// askAs, where it is set, makes this test binary a peer: it sends the request
// in it to a socket and prints the answer.
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

// A world is all that a recover.Service needs, in memory.
type world struct {
	mu          sync.Mutex
	marker      *recover.Marker
	snapshot    *recover.Snapshot
	userStopped []string
	storeErr    error
	quarantine  recover.Quarantine
	reports     []recover.Report
	reportsErr  error
	sightings   []recover.Sighting
	down        bool
	list        func() error              // what podman does when it is asked
	start       func(ctx context.Context) // what a start waits for
}

func (w *world) set(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

func (w *world) List(context.Context) ([]recover.Sighting, error) {
	w.mu.Lock()
	list, sightings := w.list, slices.Clone(w.sightings)
	w.mu.Unlock()
	if list == nil {
		return sightings, nil
	}
	return sightings, list()
}

func (w *world) GenerateUnit(_ context.Context, name string) (string, string, error) {
	return "container-" + name + ".service", "[Service]\n", nil
}

func (w *world) StoppedByUser(context.Context, string) (bool, error) { return false, nil }

func (w *world) States(context.Context, []string) (map[string]recover.UnitState, error) {
	return nil, nil
}

func (w *world) ContainerUnits(context.Context, []string) ([]recover.ContainerUnit, error) {
	return nil, nil
}

func (w *world) Install(context.Context, map[string]string) error { return nil }

func (w *world) Start(ctx context.Context, _ string) (recover.Outcome, error) {
	if w.start != nil {
		w.start(ctx)
	}
	return recover.Outcome{Job: "done", UnitState: recover.UnitState{Loaded: true, Active: "active", Sub: "running"}}, ctx.Err()
}

// Watch begins a watch that sees no change.
func (w *world) Watch(ctx context.Context) (recover.Watch, error) {
	c := make(chan struct{})
	context.AfterFunc(ctx, func() { close(c) })
	return watch{w, c}, nil
}

type watch struct {
	world   *world
	changes chan struct{}
}

func (w watch) Changes() <-chan struct{} { return w.changes }

func (w watch) GoingDown(context.Context) (bool, error) {
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	return w.world.down, nil
}

func (w *world) BootEnd(context.Context, string, string) (recover.BootEnd, error) {
	return recover.BootEnd{}, nil
}
func (w *world) ServiceEnd(context.Context, string) ([]recover.Sign, error) { return nil, nil }
func (w *world) Events(context.Context, string, time.Duration) ([]recover.HostEvent, error) {
	return nil, nil
}
func (w *world) Now() time.Duration { return 0 }

func (w *world) Marker() *recover.Marker             { return w.marker }
func (w *world) WriteMarker(recover.Identity) error  { return nil }
func (w *world) RemoveMarker() error                 { return nil }
func (w *world) SaveSnapshot(recover.Snapshot) error { return nil }

func (w *world) Snapshot() (recover.Snapshot, error) {
	if w.snapshot == nil {
		return recover.Snapshot{}, recover.ErrNone
	}
	return *w.snapshot, nil
}

func (w *world) UserStopped() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.userStopped), w.storeErr
}

func (w *world) EditUserStopped(edit func([]string) []string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := edit(slices.Clone(w.userStopped))
	if w.storeErr != nil || slices.Equal(names, w.userStopped) {
		return false, w.storeErr
	}
	w.userStopped = names
	return true, nil
}

func (w *world) InFlight() (recover.InFlight, error) { return recover.InFlight{}, nil }
func (w *world) SaveInFlight(recover.InFlight) error { return nil }
func (w *world) Reports() ([]recover.Report, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reports), w.reportsErr
}
func (w *world) Quarantine() (recover.Quarantine, error) { return w.quarantine, nil }
func (w *world) SaveQuarantine(q recover.Quarantine) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quarantine = q
	return nil
}
func (w *world) SaveReport(r recover.Report) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.ID == 0 {
		r.ID = len(w.reports) + 1
		w.reports = append(w.reports, r)
	}
	return r.ID, nil
}

func (w *world) ResetFailed(context.Context, string) error                    { return nil }
func (w *world) Pulls(context.Context, []string) (map[string][]string, error) { return nil, nil }
func (w *world) Definition(context.Context, string) (string, error)           { return "", nil }
func (w *world) NotMounted(context.Context) ([]string, error)                 { return nil, nil }
func (w *world) MountsNeeded(context.Context, string) ([]string, error)       { return nil, nil }
func (w *world) AwaitEnd(context.Context, string) error                       { return nil }
func (w *world) AwaitMounts(context.Context, []string) error                  { return nil }
func (w *world) Binds(context.Context, string) ([]string, error)              { return nil, nil }
func (w *world) ImageID(context.Context, string) (string, error)              { return "", nil }
func (w *world) AwaitHealthy(context.Context, string) error                   { return nil }

func (w *world) Stalls() (recover.Stalls, error) { return recover.Stalls{}, nil }

func (w *world) Ready(string)         {}
func (w *world) Status(string)        {}
func (w *world) Extend(time.Duration) {}
func (w *world) Stopping(string)      {}

// A daemon is a server and the service behind it.
type daemon struct {
	t       *testing.T
	world   *world
	service *recover.Service
	socket  string
	client  *Client
	stop    func()       // what SIGTERM does
	served  <-chan error // what Serve returned
	quiet   chan struct{}
	saved   <-chan struct{} // closed when the service has first saved its set
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
func newDaemon(t *testing.T, w *world, uid int) *daemon {
	t.Helper()
	return newLimitedDaemon(t, w, uid, silent, defaultLimits)
}

// newLimitedDaemon is one with limits and a log of its own.
func newLimitedDaemon(t *testing.T, w *world, uid int, log *slog.Logger, l limits) *daemon {
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
	service := recover.NewService(recover.World{Store: w, Podman: w, Systemd: w, Journal: w, Notifier: w, Gauge: w, Log: slog.New(saved)},
		recover.DefaultPolicy(), recover.Identity{BootID: "b2", PID: 50, StartTime: 900})
	ctx, stop := context.WithCancel(context.Background())
	served, quiet := make(chan error, 1), make(chan struct{}, 100)
	server := newServer(service, "system", "1.2.3", uid, log, l)
	server.WhenQuiet(func() {
		select {
		case quiet <- struct{}{}:
		default:
		}
	})
	go func() {
		served <- server.Serve(ctx, listener)
		close(served)
	}()
	d := &daemon{t: t, world: w, service: service, socket: socket, client: NewClient(socket), stop: stop, served: served, quiet: quiet, saved: saved.first}
	t.Cleanup(func() { stop(); <-served })
	return d
}

// run has the service recover, and ends it with the test.
func (d *daemon) run() *daemon {
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

// ready waits until recovery is complete and the first look at the set, which
// is saved anyway, is over.
func (d *daemon) ready() *daemon {
	d.t.Helper()
	for {
		st, changed := d.service.Status()
		if st.State == recover.Ready {
			await(d.t, d.saved, "the first look at the set")
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
		t.Fatal("in vain awaited: ", what)
		panic("unreachable")
	}
}

// An answer is one whose body was read.
type answer struct {
	http.Response
	body string
}

// ask sends one request as it stands, such as "GET /v1/status", with more
// after the request line.
func ask(socket, request, more string) (answer, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	go func() { // beside the reading: the server may answer before it has read all
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

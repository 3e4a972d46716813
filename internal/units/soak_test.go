package units

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
	"archy-recovery/internal/state"
)

// A site is a whole daemon: a data directory, the API on a socket, and a systemd on a bus. Only systemd,
// podman and the journal are fakes.
type site struct {
	t      testing.TB
	bus    *bus
	f      *fakeSystemd
	names  []string
	policy recover.Policy
	boot   int
}

// newSite returns a site with n containers. Each has a Quadlet unit, whose start takes the time takes.
func newSite(t testing.TB, n int, takes time.Duration) *site {
	t.Helper()
	s := &site{t: t, bus: newBus(t), policy: recover.DefaultPolicy()}
	s.f = newSystemd(t, s.bus)
	s.policy.Soak, s.policy.Probation = time.Millisecond, time.Millisecond
	for i := range n {
		s.names = append(s.names, fmt.Sprintf("app%03d", i))
		s.f.files = append(s.f.files, unitFile{"/run/systemd/generator/" + s.unit(i), "generated"})
	}
	s.f.starts(func(c *startCall) { s.start(c, takes) })
	return s
}

// start answers a start call, and ends its job after the time takes.
func (s *site) start(c *startCall, takes time.Duration) {
	job := s.f.newJob()
	c.reply(job)
	if c.unit == planTarget {
		s.f.end(job, c.unit, "done")
		return
	}
	up := func() {
		s.f.change(func() { s.f.units[c.unit].active, s.f.units[c.unit].sub = "active", "running" })
		s.f.end(job, c.unit, "done")
	}
	if takes == 0 {
		up()
	} else {
		time.AfterFunc(takes, up)
	}
}

func (s *site) unit(i int) string { return s.names[i] + ".service" }

// crash puts the data directory and the units in the state after a crash of the host.
func (s *site) crash(dir *state.Dir) {
	s.t.Helper()
	s.boot++
	snapshot := recover.Snapshot{Timestamp: 1, BootID: fmt.Sprintf("b%d", s.boot-1)}
	for i, name := range s.names {
		snapshot.Containers = append(snapshot.Containers, recover.Container{Name: name, Unit: s.unit(i)})
		s.f.set(s.unit(i), "inactive", "dead", map[string]any{
			"Service.ExecStart": []execCommand{{
				Path: "/usr/bin/podman",
				Argv: []string{"/usr/bin/podman", "run", "--name=" + name, "--rm", "img"},
			}},
			"Unit.RequiresMountsFor": []string{},
			"Unit.Id":                s.unit(i),
		})
	}
	for _, err := range []error{
		dir.SaveSnapshot(snapshot),
		dir.WriteMarker(recover.Marker{Identity: recover.Identity{BootID: snapshot.BootID, PID: 40, StartTime: 1}}),
		dir.SaveInFlight(recover.InFlight{}),
	} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// recover goes through the life of a daemon: it starts after a crash, recovers,
// and is stopped. It returns the time from start to READY. Where there is a
// crowd for its API, that comes with the start and leaves after READY.
func (s *site) recover(come func(socket string) (leave func())) time.Duration {
	s.t.Helper()
	dir, err := state.Open(s.bus.path("data"), func(text, file string, err error) { s.t.Error(text, file, err) })
	if err != nil {
		s.t.Fatal(err)
	}
	defer dir.Close()
	s.crash(dir)
	manager := New(s.bus.address(), s.bus.path("units"), "archy-recovery.service")
	manager.hostBus = manager.address
	defer manager.Close()
	host := recovertest.NewHost()
	ready := make(chan time.Time, 1)
	log := slog.New(slog.DiscardHandler)
	service := daemon.New(daemon.World{
		Store:    dir,
		Podman:   sitePodman{recovertest.Podman{H: host}, s},
		Systemd:  manager,
		Journal:  recovertest.Journal{H: host},
		Notifier: readyNotifier{recovertest.Notifier{H: host}, ready},
		Gauge:    recovertest.Gauge{H: host},
		Log:      log,
	},
		s.policy, recover.Identity{BootID: fmt.Sprintf("b%d", s.boot), PID: os.Getpid(), StartTime: 2})
	socket := s.bus.path("control")
	os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- control.NewServer(service, "system", "1", os.Getuid(), log).Serve(ctx, listener) }()
	began := time.Now()
	go func() { ran <- service.Run(ctx) }()
	leave := func() {}
	if come != nil {
		leave = come(socket)
	}
	complete := await(s.t, ready, "READY")
	leave()
	st, err := control.NewClient(socket).Status(ctx)
	if err != nil || len(st.Containers) != len(s.names) || len(st.NotRecovered()) > 0 ||
		st.Verdict.Ending != recover.HostCrashed {
		s.t.Fatalf("recovered: %v, %+v", err, st)
	}
	for _, row := range st.Containers {
		if row.State != recover.RowUp {
			s.t.Fatalf("%s is %s: %s", row.Name, row.State, row.Error)
		}
	}
	stop()
	for _, ended := range []chan error{ran, served} {
		if err := await(s.t, ended, "the end"); err != nil {
			s.t.Fatal(err)
		}
	}
	return complete.Sub(began)
}

// sitePodman is a podman that shows what systemd runs.
type sitePodman struct {
	recovertest.Podman
	*site
}

func (p sitePodman) List(context.Context) ([]recover.Sighting, error) {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	list := []recover.Sighting{}
	for i, name := range p.names {
		if p.f.units[p.unit(i)].active == "active" {
			list = append(list, recover.Sighting{Container: recover.Container{Name: name, Unit: p.unit(i)}, State: "running"})
		}
	}
	return list, nil
}

// readyNotifier tells the time of READY.
type readyNotifier struct {
	recovertest.Notifier
	ready chan time.Time
}

func (n readyNotifier) Ready(string) { n.ready <- time.Now() }

// A usage is the resources of this process that may leak.
type usage struct {
	goroutines, files int
	heap, rss         uint64
}

// use returns the present usage.
func use(t *testing.T) usage {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(fds), m.HeapAlloc, pages * uint64(os.Getpagesize())}
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d files, heap %.1f MB, RSS %.1f MB",
		u.goroutines, u.files, float64(u.heap)/(1<<20), float64(u.rss)/(1<<20))
}

// soaking returns the number of repetitions: SOAK_N as `make soak` sets it, or else short.
func soaking(t *testing.T, short int) (n int, long bool) {
	t.Helper()
	text := os.Getenv("SOAK_N")
	if text == "" {
		return short, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("SOAK_N: ", err)
	}
	return n, true
}

// TestRecoveriesInALoop checks that recoveries leak nothing. It is not parallel, since it measures the whole
// process.
func TestRecoveriesInALoop(t *testing.T) {
	n, _ := soaking(t, 20)
	s := newSite(t, 12, 0)
	warm := max(n/10, 5)
	for range warm {
		s.recover(nil)
	}
	before := use(t)
	var longest time.Duration
	for range n {
		longest = max(longest, s.recover(nil))
	}
	// Some goroutines end shortly after the last recovery.
	after := use(t)
	for range 100 {
		if after.goroutines <= before.goroutines && after.files <= before.files {
			break
		}
		time.Sleep(20 * time.Millisecond)
		after = use(t)
	}
	t.Logf("%d recoveries of 12 containers, the longest in %s; before: %s; after: %s", n, longest, before, after)
	if after.goroutines > before.goroutines || after.files > before.files {
		t.Error("goroutines or open files are left")
	}
	if after.heap > before.heap+(1<<20) || after.rss > before.rss+(8<<20) {
		t.Error("memory grew")
	}
	if left, _ := filepath.Glob(s.bus.path("data/.*")); len(left) > 0 { // the pattern is constant, so there is no error
		t.Errorf("temporary files are left: %q", left)
	}
	if s.f.count("StartUnit") != (warm+n)*(len(s.names)+1) { // and the target of each plan
		t.Errorf("%d starts", s.f.count("StartUnit"))
	}
	checkNoReference(t, s.f)
}

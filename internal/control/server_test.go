package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// running is a host on which the last run ended well and web runs.
func running() *recovertest.Host {
	h := recovertest.NewHost()
	h.Idle = true
	h.Sightings["web"] = recover.Sighting{
		Container: recover.Container{Name: "web", Image: "localhost/app:1"}, State: "running",
	}
	return h
}

// crashed is a host that died while db ran, and on which the start of db waits
// until the channel is closed.
func crashed(release <-chan struct{}) *recovertest.Host {
	h := recovertest.NewHost().Ran("db")
	h.Idle = true
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: "b1", PID: 40}}
	h.Snapshot.Timestamp = 1
	h.Sightings["db"] = recover.Sighting{Container: recover.Container{Name: "db"}, State: "exited", ExitCode: 137}
	h.Start["container-db.service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return recovertest.Up, ctx.Err()
	}
	return h
}

func TestStatusWhenReady(t *testing.T) {
	t.Parallel()
	w := running()
	w.UserStopped = []string{"old"}
	d := newDaemon(t, w, os.Getuid()).run().ready()
	st, err := d.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Instance != "system" || st.Version != "1.2.3" || st.PID != 50 || st.BootID != "b2" {
		t.Errorf("of the daemon: %+v", st)
	}
	if st.State != recover.Ready || !st.RecoveryComplete || st.Verdict.Ending != recover.EndedCleanly ||
		st.Finished.IsZero() {
		t.Errorf("of the recovery: %+v", st)
	}
	if !slices.Equal(st.UserStopped, []string{"old"}) {
		t.Errorf("user-stopped: %v", st.UserStopped)
	}
}

func TestStatusBeforeAndDuringRecovery(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDaemon(t, crashed(release), os.Getuid())
	st, err := d.client.Status(t.Context())
	if err != nil || st.State != recover.Assessing || st.RecoveryComplete || st.UserStopped == nil {
		t.Errorf("before: %+v, %v", st, err)
	}
	d.run()
	err = d.client.Follow(t.Context(), func(now Status) bool { st = now; return now.State == recover.Assessing })
	if err != nil || st.State != recover.Recovering || st.RecoveryComplete ||
		st.Verdict.Ending != recover.HostCrashed || len(st.Containers) != 1 {
		t.Errorf("during: %+v, %v", st, err)
	}
	close(release)
	d.ready()
	if st, err = d.client.Status(t.Context()); err != nil || !st.RecoveryComplete || len(st.NotRecovered()) > 0 {
		t.Errorf("after: %+v, %v", st, err)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, running(), os.Getuid())
	seen := make(chan Status, 16)
	ended := make(chan error, 1)
	go func() {
		ended <- d.client.Follow(context.Background(), func(st Status) bool { seen <- st; return true })
	}()
	if st := await(t, seen, "the first status"); len(st.UserStopped) > 0 {
		t.Errorf("user-stopped at first: %v", st.UserStopped)
	}
	if _, err := d.client.SetUserStopped(t.Context(), "web", true); err != nil {
		t.Fatal(err)
	}
	if st := await(t, seen, "the change"); !slices.Equal(st.UserStopped, []string{"web"}) {
		t.Errorf("user-stopped after the change: %v", st.UserStopped)
	}
	d.stop()
	if err := await(t, ended, "the end of Follow"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Follow: %v", err)
	}
	if err := await(t, d.served, "the end of Serve"); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestFollowEndedByCaller(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, running(), os.Getuid())
	if err := d.client.Follow(t.Context(), func(Status) bool { return false }); err != nil {
		t.Errorf("ended by false: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := d.client.Follow(ctx, func(Status) bool { cancel(); return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("ended by its context: %v", err)
	}
}

func TestUserStoppedList(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, running(), os.Getuid())
	for _, step := range []struct {
		name    string
		stopped bool
		changed bool
		names   []string
	}{
		{"web", false, false, []string{}},
		{"web", true, true, []string{"web"}},
		{"db_1.x-y", true, true, []string{"db_1.x-y", "web"}},
		{"web", true, false, []string{"db_1.x-y", "web"}},
		{"web", false, true, []string{"db_1.x-y"}},
		{"web", false, false, []string{"db_1.x-y"}},
	} {
		u, err := d.client.SetUserStopped(t.Context(), step.name, step.stopped)
		if err != nil || u.Changed != step.changed || !slices.Equal(u.Names, step.names) {
			t.Errorf("%+v: got %+v, %v", step, u, err)
		}
		u, err = d.client.UserStopped(t.Context())
		if err != nil || u.Changed || u.Names == nil || !slices.Equal(u.Names, step.names) {
			t.Errorf("%+v: read %+v, %v", step, u, err)
		}
	}
}

func TestUserStoppedListLost(t *testing.T) {
	t.Parallel()
	w := running()
	w.UserStoppedErr = recover.ErrLost
	d := newDaemon(t, w, os.Getuid())
	if u, err := d.client.UserStopped(t.Context()); err == nil || !strings.Contains(err.Error(), recover.ErrLost.Error()) {
		t.Errorf("read %+v, %v", u, err)
	}
	if u, err := d.client.SetUserStopped(t.Context(), "web", true); err == nil {
		t.Errorf("changed to %+v", u)
	}
	if a := d.ask("GET /v1/user-stopped", ""); a.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %s", a.Status)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 256)
	for name, c := range map[string]struct {
		request, more string
		status        int
	}{
		"name with parent directory": {"PUT /v1/user-stopped/..%2F..%2Fetc", "", 400},
		"name with leading dot":      {"PUT /v1/user-stopped/.x", "", 400},
		"name with leading dash":     {"PUT /v1/user-stopped/--all", "", 400},
		"name with space":            {"PUT /v1/user-stopped/a%20b", "", 400},
		"name with NUL":              {"PUT /v1/user-stopped/a%00b", "", 400},
		"name with newline":          {"PUT /v1/user-stopped/a%0Ab", "", 400},
		"name with non-ASCII letter": {"PUT /v1/user-stopped/%C3%A4", "", 400},
		"name too long":              {"PUT /v1/user-stopped/" + long, "", 400},
		"removal of bad name":        {"DELETE /v1/user-stopped/a%20b", "", 400},
		"no name":                    {"PUT /v1/user-stopped/", "", 404},
		"two names":                  {"PUT /v1/user-stopped/a/b", "", 404},
		"unknown path":               {"GET /v1/nothing", "", 404},
		"root path":                  {"GET /", "", 404},
		"unknown version":            {"GET /v2/status", "", 404},
		"method not allowed":         {"DELETE /v1/status", "", 405},
		"snapshot with GET":          {"GET /v1/snapshot", "", 405},
		"body too large": {"PUT /v1/user-stopped/a",
			"Content-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), 413},
		"chunked body too large": {"PUT /v1/user-stopped/a",
			"Transfer-Encoding: chunked\r\n\r\n11170\r\n" + strings.Repeat("x", 0x11170) + "\r\n0\r\n\r\n", 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, running(), os.Getuid())
			a := d.ask(c.request, c.more)
			if a.StatusCode != c.status {
				t.Errorf("got %s, want %d", a.Status, c.status)
			}
			a.problem(t)
			if names, _ := d.service.UserStopped(); len(names) > 0 {
				t.Errorf("the list is now %q", names)
			}
		})
	}
}

// problem checks that an answer is problem+json with its own status.
func (a answer) problem(t *testing.T) {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	var p Problem
	err := json.Unmarshal([]byte(a.body), &p)
	if err != nil || p.Status != a.StatusCode || p.Title == "" || p.Detail == "" {
		t.Errorf("%q: %+v, %v", a.body, p, err)
	}
}

func (d *instance) ask(request, more string) answer {
	d.t.Helper()
	a, err := ask(d.socket, request, more)
	if err != nil {
		d.t.Fatal(request, ": ", err)
	}
	return a
}

func TestAllowHeader(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, running(), os.Getuid())
	if allow := d.ask("POST /v1/user-stopped/a", "").Header.Get("Allow"); allow != "DELETE, PUT" {
		t.Errorf("Allow: %q", allow)
	}
}

func TestSmallBodyIgnored(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, running(), os.Getuid())
	if a := d.ask("PUT /v1/user-stopped/a", "Content-Length: 2\r\n\r\n{}"); a.StatusCode != http.StatusOK {
		t.Errorf("got %s", a.Status)
	}
}

func TestLargeHeader(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, running(), os.Getuid())
	a := d.ask("GET /v1/status", "X-Large: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n")
	if a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", a.Status)
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDaemon(t, crashed(release), os.Getuid())
	conflict := func(when string, why error) {
		t.Helper()
		a := d.ask("POST /v1/snapshot", "")
		if a.StatusCode != http.StatusConflict || !strings.Contains(a.body, why.Error()) {
			t.Errorf("%s: got %s %s", when, a.Status, a.body)
		}
		a.problem(t)
	}
	conflict("before recovery", daemon.ErrFrozen)
	d.run()
	if err := d.client.Follow(t.Context(), func(st Status) bool { return st.State != recover.Recovering }); err != nil {
		t.Fatal(err)
	}
	conflict("during recovery", daemon.ErrFrozen)

	d.world.Set(func() { d.world.Plain("db", "running") })
	close(release)
	d.ready()
	s, err := d.client.Snapshot(t.Context())
	if err != nil || len(s.Containers) != 1 || s.Containers[0].Name != "db" {
		t.Errorf("got %+v, %v", s, err)
	}

	d.world.Set(func() { d.world.Down = true })
	conflict("while the host goes down", recover.ErrGoingDown)

	d.world.Set(func() { d.world.OnList = func() error { return errors.New("podman fails") } })
	if _, err := d.client.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "podman fails") {
		t.Errorf("when podman fails: %v", err)
	}
}

// Only root and the instance's user may change things. The kernel reports the
// peer's UID.
func TestChangePermissions(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	const owner, other = 65534, 65533
	for name, c := range map[string]struct {
		peer    int
		request string
		status  int
	}{
		"root adds name":            {0, "PUT /v1/user-stopped/a", 200},
		"owner adds name":           {owner, "PUT /v1/user-stopped/a", 200},
		"owner takes snapshot":      {owner, "POST /v1/snapshot", 200},
		"other user reads status":   {other, "GET /v1/status", 200},
		"other user reads list":     {other, "GET /v1/user-stopped", 200},
		"other user adds name":      {other, "PUT /v1/user-stopped/a", 403},
		"other user removes name":   {other, "DELETE /v1/user-stopped/web", 403},
		"other user takes snapshot": {other, "POST /v1/snapshot", 403},
		"other user repairs":        {other, "POST /v1/repair/web", 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := running()
			w.UserStopped = []string{"web"}
			d := newDaemon(t, w, owner).run().ready()
			// Not os.Executable(): another user may have no access to its directory.
			child := exec.CommandContext(t.Context(), "/proc/self/exe")
			child.Env = []string{askAs + "=" + c.request + " " + d.socket, "GORACE=atexit_sleep_ms=0"}
			child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.peer), Gid: uint32(c.peer)}}
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("the peer failed: %v\n%s", err, out)
			}
			if !strings.HasPrefix(string(out), strconv.Itoa(c.status)+" ") {
				t.Errorf("got %s, want %d", out, c.status)
			}
			if c.status != http.StatusForbidden {
				return
			}
			if !strings.Contains(string(out), "you are another user") {
				t.Errorf("got %s", out)
			}
			if names, _ := d.service.UserStopped(); !slices.Equal(names, []string{"web"}) {
				t.Errorf("the list is now %q", names)
			}
		})
	}
}

func TestPeerWithoutCredentials(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	d := newDaemon(t, running(), os.Getuid())
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- NewServer(d.service, "system", "1.2.3", os.Getuid(), silent).Serve(ctx, listener) }()
	url := "http://" + listener.Addr().String() + "/v1/user-stopped/a"
	for method, status := range map[string]int{"GET": 405, "PUT": 403} {
		req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: got %s, want %d", method, res.Status, status)
		}
	}
	stop()
	if err := await(t, served, "the end of Serve"); err != nil {
		t.Error(err)
	}
}

func TestStopWaitsForRequest(t *testing.T) {
	t.Parallel()
	w := running()
	d := newDaemon(t, w, os.Getuid()).run().ready()
	asked, release := make(chan struct{}), make(chan struct{})
	first := true
	w.Set(func() {
		w.OnList = func() error {
			w.Set(func() {
				if first { // the service may list containers on its own, too
					first = false
					close(asked)
				}
			})
			<-release
			return nil
		}
	})
	answered := make(chan error, 1)
	go func() {
		_, err := d.client.Snapshot(context.Background())
		answered <- err
	}()
	await(t, asked, "the request")
	d.stop()
	// The socket accepts nothing new while the request is under way.
	for refused := false; !refused; {
		conn, err := net.Dial("unix", d.socket)
		if refused = err != nil; !refused {
			conn.Close()
		}
	}
	close(release)
	if err := await(t, answered, "the answer"); err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := await(t, d.served, "the end of Serve"); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestStopWithHangingRequest(t *testing.T) {
	t.Parallel()
	w := running()
	d := newDaemon(t, w, os.Getuid()).run().ready()
	asked, release := make(chan struct{}, 8), make(chan struct{})
	t.Cleanup(func() { close(release) }) // before the service's own cleanup
	w.Set(func() {
		w.OnList = func() error { asked <- struct{}{}; <-release; return nil }
	})
	answered := make(chan error, 1)
	go func() {
		_, err := d.client.Snapshot(context.Background())
		answered <- err
	}()
	await(t, asked, "the request")
	d.stop()
	if err := await(t, d.served, "the end of Serve"); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := await(t, answered, "the end of the request"); err == nil {
		t.Error("the hanging request was answered")
	}
}

func TestServeClosedListener(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Skip(err) // the path is too long for a socket
	}
	listener.Close()
	service := newDaemon(t, running(), os.Getuid()).service
	err = NewServer(service, "system", "1.2.3", 0, silent).Serve(t.Context(), listener)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestClientWithoutDaemon(t *testing.T) {
	t.Parallel()
	_, err := NewClient("/nonexistent/control.sock").Status(t.Context())
	if !errors.Is(err, syscall.ENOENT) || strings.Contains(err.Error(), "http://") {
		t.Errorf("got %v", err)
	}
}

package control

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"golang.org/x/sys/unix"
)

// smallLimits allows few connections. The times are the default ones.
func smallLimits() limits {
	l := defaultLimits
	l.connections, l.streams = 4, 2
	return l
}

// A client is one connection, without an HTTP client.
type client struct {
	t    *testing.T
	conn *net.UnixConn
	in   *bufio.Reader
}

func (d *instance) dial() *client {
	d.t.Helper()
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // so that the test fails instead of hanging
	return &client{d.t, conn.(*net.UnixConn), bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// get sends a request and returns the answer's head. It leaves the connection open.
func (c *client) get(path string) *http.Response {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	return c.answer()
}

func (c *client) answer() *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// body reads an answer's body to its end.
func (c *client) body(res *http.Response) string {
	c.t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(body)
}

// awaitEnd reads until the server closes the connection.
func (c *client) awaitEnd() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.in); err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Fatal("the server does not close the connection: ", err)
	}
}

// awaitEndUnread waits until the server closes the connection, and reads nothing.
func (c *client) awaitEndUnread() {
	c.t.Helper()
	raw, err := c.conn.SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		for n, err = unix.Poll(fds, 20_000); err == unix.EINTR; n, err = unix.Poll(fds, 20_000) {
		}
	})
	if n == 0 || err != nil {
		c.t.Error("the server does not close the connection: ", err)
	}
}

// Event streams leave connections to other requests. One stream too many is
// answered 503.
func TestEventStreamLimit(t *testing.T) {
	t.Parallel()
	d := newLimitedDaemon(t, running(), os.Getuid(), silent, smallLimits())
	first, second := d.dial(), d.dial()
	for _, c := range []*client{first, second} {
		if res := c.get("/v1/events"); res.StatusCode != http.StatusOK {
			t.Fatalf("got %s", res.Status)
		}
	}
	a := d.ask("GET /v1/events", "")
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("one stream too many: %s, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
	a.problem(t)
	if a := d.ask("GET /v1/status", ""); a.StatusCode != http.StatusOK {
		t.Errorf("another request: %s", a.Status)
	}
	first.conn.Close()
	third := d.dial()
	for third.get("/v1/events").StatusCode != http.StatusOK { // until the server has freed the place
		third.conn.Close()
		third = d.dial()
	}
}

// A connection waits while all places are taken, and is served when one is free.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	l := smallLimits()
	l.connections, l.streams = 2, 2
	d := newLimitedDaemon(t, running(), os.Getuid(), silent, l)
	first, second := d.dial(), d.dial()
	first.get("/v1/events")
	second.get("/v1/events")

	late := d.dial() // the kernel accepts it into the socket's queue
	late.send("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_ = late.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := late.in.ReadByte(); err == nil {
		t.Fatal("answered although all places are taken")
	}
	_ = late.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	first.conn.Close()
	if res := late.answer(); res.StatusCode != http.StatusOK {
		t.Errorf("after a place became free: %s", res.Status)
	}
}

// The server closes idle connections if others wait for a place.
func TestConnectionLimitClosesIdle(t *testing.T) {
	t.Parallel()
	d := newLimitedDaemon(t, running(), os.Getuid(), silent, smallLimits())
	for range 4 {
		c := d.dial()
		c.body(c.get("/v1/status"))
	}
	late := d.dial()
	if res := late.get("/v1/status"); res.StatusCode != http.StatusOK {
		t.Errorf("got %s", res.Status)
	}
}

// The server stops although all places are taken and a request hangs.
func TestStopWhenFull(t *testing.T) {
	t.Parallel()
	l := smallLimits()
	l.connections, l.grace = 1, 20*time.Millisecond
	w := running()
	d := newLimitedDaemon(t, w, os.Getuid(), silent, l).run().ready()
	asked, release := make(chan struct{}, 8), make(chan struct{})
	t.Cleanup(func() { close(release) })
	w.Set(func() {
		w.OnList = func() error { asked <- struct{}{}; <-release; return nil }
	})
	hung := d.dial()
	hung.send("POST /v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n")
	await(t, asked, "the request")
	d.stop()
	if err := await(t, d.served, "the end of Serve"); err != nil {
		t.Error(err)
	}
	hung.awaitEnd()
}

func TestSlowHeader(t *testing.T) {
	t.Parallel()
	l := smallLimits()
	l.header = 20 * time.Millisecond
	d := newLimitedDaemon(t, running(), os.Getuid(), silent, l)
	silentClient, slow := d.dial(), d.dial()
	slow.send("GET /v1/status HTTP/1.1\r\nHost: ")
	silentClient.awaitEnd()
	slow.awaitEnd()
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	l := smallLimits()
	l.request = 20 * time.Millisecond
	d := newLimitedDaemon(t, running(), os.Getuid(), silent, l)
	c := d.dial()
	c.send("PUT /v1/user-stopped/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nxxx")
	res := c.answer()
	a := answer{*res, c.body(res)}
	if a.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %s", a.Status)
	}
	a.problem(t)
	c.awaitEnd()
	if names, _ := d.service.UserStopped(); len(names) > 0 {
		t.Errorf("the list is now %q", names)
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	l := smallLimits()
	l.idle = 20 * time.Millisecond
	d := newLimitedDaemon(t, running(), os.Getuid(), silent, l)
	c := d.dial()
	c.body(c.get("/v1/status"))
	c.awaitEnd()
}

// The server closes an event stream whose client does not read. Until then
// other clients do not wait for it.
func TestSlowEventReader(t *testing.T) {
	t.Parallel()
	w := running()
	for i := range 400 { // more than a socket's buffer holds, in some events
		w.UserStopped = append(w.UserStopped, fmt.Sprintf("%s%d", strings.Repeat("x", 200), i))
	}
	l := smallLimits()
	l.event = 50 * time.Millisecond
	d := newLimitedDaemon(t, w, os.Getuid(), silent, l)
	lazy := d.dial()
	lazy.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := lazy.in.ReadByte(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { lazy.awaitEndUnread(); close(closed) }()
	for stopped := true; ; stopped = !stopped {
		if _, err := d.client.SetUserStopped(t.Context(), "web", stopped); err != nil {
			t.Fatal(err)
		}
		select {
		case <-closed:
			return
		default:
		}
	}
}

// Another program holds the list's lock for too long.
func TestUserStoppedListLocked(t *testing.T) {
	t.Parallel()
	w := running()
	w.UserStoppedErr = recover.ErrBusy
	d := newDaemon(t, w, os.Getuid())
	a := d.ask("PUT /v1/user-stopped/web", "")
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" ||
		!strings.Contains(a.body, "in use by another program") {
		t.Errorf("got %s, Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.body)
	}
	a.problem(t)
}

// docs/openapi.yaml states the default limits.
func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	l := defaultLimits
	if l.connections != 64 || maxBody != 64<<10 || l.streams > l.connections/2 {
		t.Errorf("%+v", l)
	}
}

func TestOnIdle(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, recovertest.NewHost(), os.Getuid())
	a, b := d.dial(), d.dial()
	for range 2 {
		for _, c := range []*client{a, b} {
			c.body(c.get("/v1/user-stopped"))
		}
	}
	a.conn.Close()
	b.body(b.get("/v1/user-stopped"))
	select {
	case <-d.quiet:
		t.Fatal("idle with a connection open")
	default:
	}
	b.conn.Close()
	select {
	case <-d.quiet:
	case <-time.After(20 * time.Second):
		t.Fatal("not idle after the last connection has ended")
	}
}

// A repair may take longer than other requests: an image has to come. It goes on without the client.
func TestRepairTakesLong(t *testing.T) {
	t.Parallel()
	l := defaultLimits
	l.request, l.event = 50*time.Millisecond, 50*time.Millisecond
	w := rich()
	d := newLimitedDaemon(t, w, os.Getuid(), silent, l).run().ready()
	looking := make(chan struct{})
	w.Set(func() { w.Looking = looking })
	step := func(what string) {
		t.Helper()
		select {
		case looking <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatal("timed out: ", what)
		}
	}
	const request = "POST /v1/repair HTTP/1.1\r\nHost: x\r\n\r\n"
	c := d.dial()
	c.send(request)
	step("the begin of a repair")
	time.Sleep(4 * l.request) // past both limits of another request
	step("the end of its look")
	if res := c.answer(); res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	gone := d.dial()
	gone.send(request)
	step("the begin of another repair")
	gone.conn.Close()
	time.Sleep(4 * l.request)
	step("the end of its look, without its client")
}

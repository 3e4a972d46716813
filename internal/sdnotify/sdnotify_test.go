package sdnotify

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager returns the other end of $NOTIFY_SOCKET.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// receive returns the next message.
func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestMessages(t *testing.T) {
	conn := manager(t)
	n := New(slog.Default())
	for want, send := range map[string]func(){
		"STATUS=tier 1: 3 of 5 started": func() { n.Status("tier 1: 3 of 5 started") },
		"READY=1\nSTATUS=complete":      func() { n.Ready("complete") },
		"STOPPING=1\nSTATUS=saving":     func() { n.Stopping("saving") },
		"EXTEND_TIMEOUT_USEC=90000000":  func() { n.Extend(90 * time.Second) },
	} {
		send()
		if got := receive(t, conn); got != want {
			t.Errorf("systemd gets %q, want %q", got, want)
		}
	}
}

// TestWatchdogHungDaemon checks that messages stop when the daemon hangs.
func TestWatchdogHungDaemon(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	stop, done, hang := make(chan struct{}), make(chan struct{}), make(chan struct{})
	calls := 0
	go func() {
		defer close(done)
		New(slog.Default()).Watchdog(stop, func() {
			if calls++; calls > 2 {
				<-hang
			}
		})
	}()
	for range 2 {
		if got := receive(t, conn); got != "WATCHDOG=1" {
			t.Errorf("systemd gets %q, want WATCHDOG=1", got)
		}
	}
	// The daemon hangs now, so no message may follow.
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 64)); err == nil {
		t.Errorf("a hung daemon sends %d bytes", n)
	}
	close(stop)
	close(hang)
	<-done
}

func TestNoWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	New(slog.Default()).Watchdog(nil, func() { t.Error("alive is called") })
}

func TestManagerGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	var log bytes.Buffer
	New(slog.New(slog.NewTextHandler(&log, nil))).Ready("x")
	if !strings.Contains(log.String(), "cannot notify systemd") {
		t.Errorf("log is %q", log.String())
	}
}

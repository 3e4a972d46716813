package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// bootWithoutSocket is a boot in which the socket of uid 4242 is not there yet. watches gets
// a value each time that wait begins to watch for it.
func bootWithoutSocket(t *testing.T, enabled, socketsUp bool) (dir string, watches <-chan struct{}) {
	t.Helper()
	dir, err := os.MkdirTemp("", "boot") // unlike t.TempDir, short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	begins := make(chan struct{}, 10)
	beforeDir, beforeWants, beforeUp, beforeObserve := socketDirectory, socketWants, socketsAreUp, observeWatch
	t.Cleanup(func() {
		socketDirectory, socketWants, socketsAreUp, observeWatch = beforeDir, beforeWants, beforeUp, beforeObserve
	})
	socketDirectory, socketWants = dir+"/run/", []string{dir + "/none/", dir + "/wants/"}
	socketsAreUp = func(_ context.Context, unit string) bool { return socketsUp || unit != "archy-recovery@4242.socket" }
	observeWatch = func() {
		select {
		case begins <- struct{}{}:
		default:
		}
	}
	if enabled {
		if err := os.Mkdir(dir+"/wants", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/nowhere", dir+"/wants/archy-recovery@4242.socket"); err != nil {
			t.Fatal(err)
		}
	}
	return dir, begins
}

// wait at once after the boot, before the socket and its directory are there, waits for them.
func TestWaitForSocketAtBoot(t *testing.T) {
	dir, watches := bootWithoutSocket(t, true, false)
	type result struct {
		code           int
		stdout, stderr string
	}
	ended := make(chan result, 1)
	go func() {
		code, stdout, stderr := runVerb(t, "wait", "--timeout", "1m")
		ended <- result{code, stdout, stderr}
	}()
	step := func(do func()) {
		t.Helper()
		select {
		case <-watches:
			do()
		case r := <-ended:
			t.Fatalf("wait has ended: %+v", r)
		case <-time.After(20 * time.Second):
			t.Fatal("wait does not watch")
		}
	}
	step(func() {
		if err := os.Mkdir(socketDirectory, 0o755); err != nil {
			t.Fatal(err)
		}
	})
	step(func() { // something else comes
		if err := os.WriteFile(filepath.Join(dir, "run", "other"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	complete := control.Status{State: recover.Ready, RecoveryComplete: true, Progress: "complete: nothing to start"}
	step(func() { serveFake(t, map[string]any{"events": []control.Status{complete}}) })
	select {
	case r := <-ended:
		if r.code != ExitOK || r.stdout != "recovery complete: nothing to start\n" || r.stderr != "" {
			t.Errorf("%+v", r)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("wait does not end")
	}
}

// The time-out counts for the socket, too.
func TestWaitForSocketTimeout(t *testing.T) {
	_, watches := bootWithoutSocket(t, true, false)
	code, stdout, stderr := runVerb(t, "wait", "--timeout", "200ms")
	if code != ExitTimeout || stdout != "" ||
		!strings.Contains(stderr, "the socket was not there within 200ms: see systemctl status archy-recovery@4242.socket") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if len(watches) == 0 {
		t.Error("it did not watch")
	}
}

// A socket that will not come is not waited for.
func TestWaitForNoSocket(t *testing.T) {
	for name, c := range map[string]struct{ enabled, socketsUp bool }{
		"not enabled":                  {false, false},
		"the boot is past its sockets": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, watches := bootWithoutSocket(t, c.enabled, c.socketsUp)
			code, stdout, stderr := runVerb(t, "wait", "--timeout", "1m")
			if code != ExitNoDaemon || stdout != "" || !strings.Contains(stderr, "no daemon for the 4242 instance") {
				t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
			}
			if len(watches) > 0 {
				t.Error("it watched for the socket")
			}
		})
	}
}

// A socket that nobody listens on is left behind. wait does not wait for it for ever.
func TestWaitForSocketOfNobody(t *testing.T) {
	bootWithoutSocket(t, true, false)
	if err := os.Mkdir(socketDirectory, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(socketDirectory, "4242.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	if err := awaitListener(t.Context(), path); err != nil {
		t.Error(err)
	}
}

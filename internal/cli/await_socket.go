package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// socketWants are where "systemctl enable" links a socket unit (systemd.unit(5)). Tests
// replace it.
var socketWants = []string{
	"/etc/systemd/system/sockets.target.wants/", "/run/systemd/system/sockets.target.wants/",
}

// socketsAreUp reports whether this boot has come past its sockets without unit. Tests
// replace it.
var socketsAreUp = func(ctx context.Context, unit string) bool {
	const target = "sockets.target" // systemd.special(7)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	manager := SystemManager()
	defer manager.Close()
	states, err := manager.States(ctx, []string{target, unit})
	if err != nil {
		return false // the bus is not there yet
	}
	return states[target].Active == "active" && states[unit].Job == ""
}

// awaitSocket returns when the instance's socket is there. It returns at once if that will
// not come: its unit is not enabled, or the boot is past its sockets. The client then says
// that there is no daemon. The error is that of ctx.
func (i Instance) awaitSocket(ctx context.Context) error {
	if _, err := os.Lstat(i.socket()); !errors.Is(err, fs.ErrNotExist) || !i.socketEnabled() ||
		socketsAreUp(ctx, i.socketUnit()) {
		return nil
	}
	if err := awaitListener(ctx, i.socket()); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fmt.Errorf("cannot watch for the socket of the %s instance: %w", i.Title(), err)
	}
	return nil
}

// socketEnabled reports whether the boot starts the instance's socket unit. It asks no bus,
// which comes after the sockets.
func (i Instance) socketEnabled() bool {
	for _, dir := range socketWants {
		if _, err := os.Lstat(dir + i.socketUnit()); err == nil {
			return true
		}
	}
	return false
}

// observeWatch is told before each wait for a change; tests look in.
var observeWatch = func() {}

const (
	// socketCompleteWithin is how soon systemd listens on a new socket, and gives it to its user
	// and group.
	socketCompleteWithin = 2 * time.Second
	// lookAtNew is how often a new socket is looked at meanwhile: listen(2) is no event.
	lookAtNew = 20 * time.Millisecond
)

// awaitListener returns when a process listens at path, or when something other than its
// absence keeps us from it. inotify(7) tells when to look again.
func awaitListener(ctx context.Context, path string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	changes := os.NewFile(uintptr(fd), "inotify")
	defer changes.Close()
	var event [4096]byte // larger than any event: SizeofInotifyEvent + NAME_MAX + 1
	var came time.Time   // when the socket was there first, but not complete
	for {
		// Before the look, so that nothing that comes after it is missed.
		if err := watchDirectory(fd, filepath.Dir(path)); err != nil {
			return err
		}
		err := connect(ctx, path)
		until := time.Time{}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			came = time.Time{}
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ECONNREFUSED):
			if came.IsZero() {
				came = time.Now()
			}
			if time.Since(came) > socketCompleteWithin {
				return nil // the client says what is wrong
			}
			until = time.Now().Add(lookAtNew)
		default:
			return nil
		}
		_ = changes.SetReadDeadline(until)
		stop := context.AfterFunc(ctx, func() { _ = changes.SetReadDeadline(time.Unix(1, 0)) })
		observeWatch()
		_, err = changes.Read(event[:])
		stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// watchDirectory has inotify tell what comes into a directory. While that does not exist, it
// tells what comes into the one above.
func watchDirectory(fd int, dir string) error {
	const comes = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB
	_, err := unix.InotifyAddWatch(fd, dir, comes)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(dir), comes); err != nil {
		return err
	}
	if _, err = unix.InotifyAddWatch(fd, dir, comes); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err // it came meanwhile
}

// connect tries whether a process listens at path.
func connect(ctx context.Context, path string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}

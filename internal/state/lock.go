package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// lockFile is what a program locks before it reads the user-stopped list in
// order to write it: flock(2), LOCK_EX. Not the list itself, since each write
// puts another file under that name. It is never removed: whoever still waited
// for the old one would hold a lock that nobody else sees. docs/user-stopped.md
// tells other programs.
const lockFile = userStoppedFile + ".lock"

const (
	// lockWithin is how long a program may hold the lock that we want. Longer
	// than any write takes; shorter than what a client, or a snapshot that
	// waits behind the change, can wait.
	lockWithin = 3 * time.Second
	// lockEvery: flock(2) has no time-out, so it is asked again and again.
	lockEvery = 5 * time.Millisecond
)

// lock takes the lock. The kernel drops it when its holder dies, so it is never
// stale; one that is held for too long is recover.ErrBusy.
func (d *Dir) lock(within time.Duration) (unlock func(), err error) {
	f, err := d.openLock(lockFile)
	if err != nil {
		return nil, d.cannotWrite(lockFile, err)
	}
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	again := time.NewTicker(lockEvery)
	defer again.Stop()
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return func() { _ = f.Close() }, nil // which drops the lock
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", d.file(lockFile), err), f.Close())
		}
		select {
		case <-again.C:
		case <-timeout.C:
			return nil, errors.Join(fmt.Errorf("%w: %s was locked for more than %s", recover.ErrBusy, d.file(lockFile), within), f.Close())
		}
	}
}

// openLock makes a file to lock only where there is none: on a read-only disk the
// one that is there can still be locked. Only its owner may open it.
func (d *Dir) openLock(name string) (*os.File, error) {
	const flags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(d.file(name), flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return os.OpenFile(d.file(name), flags|os.O_CREATE, 0o600)
	}
	return f, err
}

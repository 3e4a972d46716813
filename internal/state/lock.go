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

// lockFile is the file that a program locks with flock(2), LOCK_EX, before it reads the
// user-stopped list to change it. The list itself cannot be locked, since each write puts
// another file under its name. The lock file is never removed. Otherwise a program
// that waits for it would lock the removed file, which no other program sees.
//
// docs/user-stopped.md describes the lock for other programs.
const lockFile = userStoppedFile + ".lock"

const (
	// lockTimeout is how long another program may keep the lock. It is longer than any
	// write takes. It is shorter than a client waits, or a snapshot behind the change.
	lockTimeout = 3 * time.Second
	// lockInterval is the time between two tries, since flock(2) has no timeout.
	lockInterval = 5 * time.Millisecond
)

// lock takes the lock of the user-stopped list. The kernel drops it when its holder ends, so
// it is never stale. The error is recover.ErrBusy where it stays locked until the timeout.
func (d *directory) lock(timeout time.Duration) (unlock func(), err error) {
	f, err := d.openLock(lockFile)
	if err != nil {
		return nil, d.cannotWrite(lockFile, err)
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	retry := time.NewTicker(lockInterval)
	defer retry.Stop()
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return func() { _ = f.Close() }, nil // this drops the lock
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", d.file(lockFile), err), f.Close())
		}
		select {
		case <-retry.C:
		case <-deadline.C:
			return nil, errors.Join(
				fmt.Errorf("%w: %s was locked for more than %s", recover.ErrBusy, d.file(lockFile), timeout), f.Close())
		}
	}
}

// openLock opens a file to lock, which only its owner may open. It creates the file only
// where there is none, so that an existing one can be locked on a read-only disk.
func (d *directory) openLock(name string) (*os.File, error) {
	const flags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(d.file(name), flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return os.OpenFile(d.file(name), flags|os.O_CREATE, 0o600)
	}
	return f, err
}

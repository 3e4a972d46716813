// Package state keeps the data directory: marker, snapshot, user-stopped list, in-flight list,
// quarantine, history, and archives of images. Nothing else writes there. Every write survives a
// power failure at any moment: the file then has its old content or its new.
package state

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The files of the data directory. The first three have the names and shapes that
// the old module gave them, so that a node upgrades in place.
const (
	markerFile      = "archipelago.pid"
	snapshotFile    = "running-containers.json"
	userStoppedFile = "user-stopped.json"
	inFlightFile    = "in-flight.json"
	quarantineFile  = "quarantine.json"
	daemonLockFile  = "daemon.lock"
)

// Dir is a data directory that one process holds. It implements daemon.Store.
type Dir struct {
	directory
	daemonLock *os.File // its lock says that this process lives
	// otherHolds says that another live process has the lock.
	otherHolds bool
	// readOnly says that nothing is written (see Reader).
	readOnly bool
	report   func(text, file string, err error)

	mu       sync.Mutex
	reported map[string]string // file -> its damage as last reported
}

// Open opens the data directory at path and holds it. It creates a missing one.
// Where another live process holds the directory, Open succeeds, and Marker says
// that the process is alive. The error is ErrNotOurs where this process may not write, and
// ErrNewer where a newer version of this program has written.
//
// Damage that the caller can work around goes to report: text continues a sentence that
// begins with the file's path.
//
// The directory is held by a flock(2). The kernel drops it when the process ends, so it
// is never stale, and it needs no PID.
func Open(path string, report func(text, file string, err error)) (*Dir, error) {
	created := os.MkdirAll(path, 0o755)
	if err := checkAccess(path, created); err != nil {
		return nil, err
	}
	if created != nil {
		return nil, fmt.Errorf("cannot create the data directory: %w", created)
	}
	fd, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the data directory: %w", err)
	}
	d := &Dir{directory: directory{path: path, fd: fd}, report: report, reported: map[string]string{}}
	if d.daemonLock, err = d.openDaemonLock(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot hold the data directory: %w", err), fd.Close())
	}
	switch err := unix.Flock(int(d.daemonLock.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		d.otherHolds = true
	case err != nil:
		return nil, errors.Join(fmt.Errorf("cannot lock the data directory %s: %w", path, err), d.Close())
	}
	if err := d.checkFormat(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := checkWriters(fd); err != nil {
		d.reportDamage("can be written by other users, so they can decide what is started", "", err)
	}
	d.removeTemporaryFiles()
	d.removeCopies(time.Now())
	d.narrowReports()
	return d, nil
}

// openDaemonLock opens the file that is locked. Only its owner may open it: a process
// that can open a file can lock it, and every user may read the directory. On a disk
// that takes no new file the directory itself is locked.
func (d *Dir) openDaemonLock() (*os.File, error) {
	f, err := d.openLock(daemonLockFile)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return os.Open(d.path)
	}
	return f, err
}

// Close releases the directory.
func (d *Dir) Close() error { return errors.Join(d.daemonLock.Close(), d.fd.Close()) }

// removeTemporaryFiles removes the temporary files of writes that a crash cut short.
func (d *Dir) removeTemporaryFiles() {
	if d.otherHolds {
		return
	}
	for _, name := range []string{markerFile, snapshotFile, userStoppedFile, inFlightFile, quarantineFile,
		lastAliveFile, holdFile} {
		d.removeAll("." + name + "*")
	}
	d.removeAll(historyDir + "/.*.json*")
	d.removeAll(historyDir + "/*.json~") // the form of earlier versions
	d.removeAll(archiveDir + "/.*")
}

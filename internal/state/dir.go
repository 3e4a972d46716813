// Package state keeps the data directory: marker, snapshot, user-stopped list,
// who is in flight, who is quarantined, and the history. It is the one place that writes there, and every write survives a power
// failure at any moment: either the old content is there afterwards or the new.
package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The files of the data directory. The first three have the names and shapes
// of the module that came before, so that a node upgrades in place.
const (
	markerFile      = "archipelago.pid"
	snapshotFile    = "running-containers.json"
	userStoppedFile = "user-stopped.json"
	inFlightFile    = "in-flight.json"
	quarantineFile  = "quarantine.json"
	holdFile        = "daemon.lock"
)

// Dir is a data directory that this process holds alone. It implements
// recover.Store.
type Dir struct {
	path string
	fd   *os.File // of the directory
	hold *os.File // its lock says that we live
	held bool     // by another live instance instead of us
	// readOnly: nothing is written (see Reader).
	readOnly bool
	// unsure: the last change may not have reached the disk, though it is read.
	unsure atomic.Bool
	tell   func(text, file string, err error)

	mu   sync.Mutex
	told map[string]string // file -> the damage last reported of it
}

// Open takes hold of the data directory at path, creating it if need be. Where
// another live process holds it, it is still opened, for Marker to say so. One
// that this process may not write is ErrNotOurs.
// report is told of damage that was worked around.
//
// The hold is a flock(2): the kernel drops it when the process dies, however it
// dies, so it is never stale and needs no PID.
func Open(path string, report func(text, file string, err error)) (*Dir, error) {
	made := os.MkdirAll(path, 0o755)
	if err := checkAccess(path, made); err != nil {
		return nil, err
	}
	if made != nil {
		return nil, fmt.Errorf("cannot create the data directory: %w", made)
	}
	fd, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the data directory: %w", err)
	}
	d := &Dir{path: path, fd: fd, tell: report, told: map[string]string{}}
	if d.hold, err = d.openHold(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot hold the data directory: %w", err), fd.Close())
	}
	switch err := unix.Flock(int(d.hold.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		d.held = true
	case err != nil:
		return nil, errors.Join(fmt.Errorf("cannot lock the data directory %s: %w", path, err), d.Close())
	}
	if err := whoElseWrites(fd); err != nil {
		d.log("others may write to the data directory, and so decide what is started", "", err)
	}
	d.sweep()
	return d, nil
}

// log reports damage of a file, once until it is well again or damaged in
// another way.
func (d *Dir) log(text, file string, err error) {
	damage := fmt.Sprint(text, err)
	d.mu.Lock()
	known := d.told[file] == damage
	d.told[file] = damage
	d.mu.Unlock()
	if !known {
		d.tell(text, d.file(file), err)
	}
}

// well takes note that a file is in order.
func (d *Dir) well(file string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.told, file)
}

// openHold opens the file that is locked: one that nobody else may open, since
// whoever can open a file can lock it, and the directory is for all to read.
// Where a disk takes no file it is the directory itself.
func (d *Dir) openHold() (*os.File, error) {
	f, err := d.openLock(holdFile)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return os.Open(d.path)
	}
	return f, err
}

// Close lets go of the directory.
func (d *Dir) Close() error { return errors.Join(d.hold.Close(), d.fd.Close()) }

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// sweep removes the temporary files of writes that a crash cut short.
func (d *Dir) sweep() {
	if d.held {
		return
	}
	for _, name := range []string{markerFile, snapshotFile, userStoppedFile, inFlightFile, quarantineFile} {
		d.removeAll("." + name + "*")
	}
	d.removeAll(historyDir + "/.*.json*")
	d.removeAll(historyDir + "/*.json~") // as earlier versions left behind
}

func (d *Dir) removeAll(pattern string) {
	left, _ := filepath.Glob(d.file(pattern)) // it is constant: no error
	for _, path := range left {
		_ = os.Remove(path) // tried again at the next start
	}
}

// previous is where the last good generation of a file is kept.
func previous(name string) string { return name + ".previous" }

// maxFile bounds what is read of a file of the data directory.
const maxFile = 16 << 20

// read returns the content of a file, bounded.
func (d *Dir) read(name string) ([]byte, error) { return readRegular(d.file(name)) }

// readRegular reads no symbolic link: the directory may belong to a user who may
// read less than we do, and what cannot be parsed is copied for people to see.
// Nor does it wait for somebody to write to a pipe.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		return nil, fmt.Errorf("%s has more than the %d bytes that are read", path, maxFile)
	}
	return content, err
}

// setAside keeps a copy of damaged content under a name made from the file's
// time, for a person to look at, and returns that name.
func (d *Dir) setAside(name string, content []byte) string {
	if d.readOnly {
		return ""
	}
	info, err := os.Lstat(d.file(name))
	if err != nil || !info.Mode().IsRegular() {
		return "" // nothing was read of it
	}
	aside := fmt.Sprintf("%s.corrupt-%d", name, info.ModTime().Unix())
	if _, err := os.Lstat(d.file(aside)); err == nil {
		return aside
	}
	if err := d.replace(aside, content); err != nil {
		d.log("no copy of it can be kept", name, err)
		return ""
	}
	return aside
}

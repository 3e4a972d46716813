package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// EditUserStopped replaces the list by what edit makes of it, and reports
// whether that differs. Programs that take the lock never lose each other's
// changes.
//
// Others write the list too, and some without the lock. Therefore the new list
// and the one in place are exchanged in one step (RENAME_EXCHANGE of rename(2)):
// what was replaced is then in our hands. If it is not what edit saw, someone
// wrote it in between: it is put back, and edit is done again, on theirs. So
// edit may be called more than once.
func (d *Dir) EditUserStopped(edit func(names []string) []string) (changed bool, err error) {
	return d.editUserStopped(edit, lockWithin, func() {})
}

// maxMerges bounds how often others may come in between.
const maxMerges = 10

// editUserStopped calls between when all is ready to be exchanged; tests write
// then.
func (d *Dir) editUserStopped(edit func(names []string) []string, within time.Duration, between func()) (bool, error) {
	unlock, err := d.lock(within)
	if err != nil {
		return false, err
	}
	defer unlock()
	for range maxMerges {
		// Read before UserStopped reads: what changes after this is noticed.
		was, unreadable := d.read(userStoppedFile)
		names, err := d.UserStopped()
		if err != nil {
			return false, err
		}
		wanted := edit(slices.Clone(names))
		// A change whose caller was told that it failed may still be read: it is
		// written once more when it is asked for again.
		again := d.unsure.Load()
		if slices.Equal(wanted, names) && !again {
			return false, nil
		}
		if wanted == nil {
			wanted = []string{}
		}
		content, err := json.MarshalIndent(wanted, "", "  ")
		if err != nil {
			return false, err
		}
		content = append(content, '\n')
		if unreadable != nil && !errors.Is(unreadable, fs.ErrNotExist) {
			// There is nothing to compare, and UserStopped has set it aside.
			err = d.replace(userStoppedFile, content)
			return err == nil, err
		}
		switch done, err := d.exchange(userStoppedFile, was, content, between); {
		case err != nil:
			return false, err
		case done:
			return true, nil
		}
	}
	return false, fmt.Errorf("%w: %s was written again and again meanwhile", recover.ErrBusy, d.file(userStoppedFile))
}

// exchange durably puts content under the name in place of was, nil for no
// file. It reports false, and leaves what is there, if that is something else.
func (d *Dir) exchange(name string, was, content []byte, between func()) (done bool, err error) {
	f, err := os.CreateTemp(d.path, "."+name+"*")
	if err != nil {
		return false, d.cannotWrite(name, err)
	}
	temporary := f.Name()
	defer func() {
		if left := os.Remove(temporary); left != nil && !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, d.cannotWrite(name, left))
		}
	}()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return false, d.cannotWrite(name, err)
	}
	between()
	if was == nil {
		err = unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, d.file(name), unix.RENAME_NOREPLACE)
	} else {
		err = d.swap(temporary, name)
	}
	switch {
	case errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist):
		return false, nil // someone made the file meanwhile, or removed it
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS):
		return d.exchangeByHand(name, was, temporary)
	case err != nil:
		return false, d.cannotWrite(name, err)
	case was == nil:
		return true, d.sync()
	}
	// The file that was replaced has the temporary name now.
	if replaced, err := readRegular(temporary); err == nil && bytes.Equal(replaced, was) {
		return true, d.sync()
	}
	if err := d.swap(temporary, name); err != nil {
		return false, d.cannotWrite(name, err)
	}
	// Should someone have written even between the two, theirs is the later.
	if ours, err := readRegular(temporary); err == nil && !bytes.Equal(ours, content) {
		if err := d.swap(temporary, name); err != nil {
			return false, d.cannotWrite(name, err)
		}
	}
	return false, nil
}

// swap exchanges two files in one step.
func (d *Dir) swap(temporary, name string) error {
	return unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, d.file(name), unix.RENAME_EXCHANGE)
}

// exchangeByHand is for file systems that cannot exchange. A write in the
// moment between its two calls is lost.
func (d *Dir) exchangeByHand(name string, was []byte, temporary string) (done bool, err error) {
	if now, err := d.read(name); !errors.Is(err, fs.ErrNotExist) && !bytes.Equal(now, was) {
		return false, nil
	}
	if err := os.Rename(temporary, d.file(name)); err != nil {
		return false, d.cannotWrite(name, err)
	}
	return true, d.sync()
}

package state

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// exchange durably replaces a file if its content is still expected, nil for no file.
// Otherwise it leaves the file as it is and reports false. Tests write in beforeExchange.
func (d *directory) exchange(name string, expected, content []byte, beforeExchange func()) (exchanged bool, err error) {
	f, err := os.CreateTemp(d.path, "."+name+"*")
	if err != nil {
		return false, d.cannotWrite(name, err)
	}
	temporary := f.Name()
	defer func() {
		if removal := os.Remove(temporary); removal != nil && !errors.Is(removal, fs.ErrNotExist) {
			err = errors.Join(err, d.cannotWrite(name, removal))
		}
	}()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return false, d.cannotWrite(name, err)
	}
	beforeExchange()
	if expected == nil {
		err = unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, d.file(name), unix.RENAME_NOREPLACE)
	} else {
		err = d.swap(temporary, name)
	}
	switch {
	case errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist):
		return false, nil // another program created or removed the file
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS):
		return d.compareAndRename(name, expected, temporary)
	case err != nil:
		return false, d.cannotWrite(name, err)
	case expected == nil:
		return true, d.sync()
	}
	// The replaced file has the temporary name now.
	if replaced, err := readRegular(temporary); err == nil && bytes.Equal(replaced, expected) {
		return true, d.sync()
	}
	if err := d.swap(temporary, name); err != nil {
		return false, d.cannotWrite(name, err)
	}
	// If another program wrote even between the two swaps, its file is the later one.
	if swapped, err := readRegular(temporary); err == nil && !bytes.Equal(swapped, content) {
		if err := d.swap(temporary, name); err != nil {
			return false, d.cannotWrite(name, err)
		}
	}
	return false, nil
}

// swap exchanges two files in one step.
func (d *directory) swap(temporary, name string) error {
	return unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, d.file(name), unix.RENAME_EXCHANGE)
}

// compareAndRename is exchange for file systems that cannot exchange two files. A write
// of another program between its two calls is lost.
func (d *directory) compareAndRename(name string, expected []byte, temporary string) (exchanged bool, err error) {
	if present, err := d.read(name); !errors.Is(err, fs.ErrNotExist) && !bytes.Equal(present, expected) {
		return false, nil
	}
	if err := os.Rename(temporary, d.file(name)); err != nil {
		return false, d.cannotWrite(name, err)
	}
	return true, d.sync()
}

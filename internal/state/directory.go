package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/google/renameio/v2"
)

// A directory reads its files safely and replaces them durably. It knows nothing of their content.
type directory struct {
	path string
	fd   *os.File // the directory itself
	// unsynced says that the last change can be read but may not have reached the disk.
	unsynced atomic.Bool
}

func (d *directory) file(name string) string { return filepath.Join(d.path, name) }

// replace durably replaces a file: temporary file, fsync and rename (all by renameio), and
// then fsync of the directory. The name always has a file.
func (d *directory) replace(name string, content []byte) error {
	if err := d.replaceIn(d.path, name, content, 0o644); err != nil {
		return err
	}
	return d.sync()
}

// replaceSoon is replace, but the new file may reach the disk only with the next change that is durable. A
// power cut before that leaves the old file.
func (d *directory) replaceSoon(name string, content []byte) error {
	return d.replaceIn(d.path, name, content, 0o644)
}

// replaceIn is replace without the fsync of the directory. The temporary file is in dir, which
// must be on the same file system. mode is that of the new file, whatever the old one had.
func (d *directory) replaceIn(dir, name string, content []byte, mode fs.FileMode) error {
	f, err := renameio.NewPendingFile(d.file(name), renameio.WithPermissions(mode), renameio.WithTempDir(dir))
	if err != nil {
		return d.cannotWrite(name, err)
	}
	defer f.Cleanup()
	if _, err := f.Write(content); err != nil {
		return d.cannotWrite(name, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return d.cannotWrite(name, err)
	}
	return nil
}

// cannotWrite returns an error that names the file. It leaves out the temporary file's name:
// that differs each time, and would make every failure look like a new one.
func (d *directory) cannotWrite(name string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	} else if link := (*os.LinkError)(nil); errors.As(err, &link) {
		err = fmt.Errorf("%s: %w", link.Op, link.Err)
	}
	return fmt.Errorf("cannot write %s: %w", d.file(name), err)
}

// sync makes the renames in the data directory durable.
func (d *directory) sync() error {
	err := d.syncDir(d.fd)
	d.unsynced.Store(err != nil)
	return err
}

func (d *directory) syncDir(dir *os.File) error {
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", dir.Name(), err)
	}
	return nil
}

// removeAll removes the files that match a constant pattern.
func (d *directory) removeAll(pattern string) {
	paths, _ := filepath.Glob(d.file(pattern)) // the pattern is constant: no error
	for _, path := range paths {
		_ = os.Remove(path) // the next start tries again
	}
}

package state

import (
	"fmt"

	"github.com/google/renameio/v2"
)

// replace writes content durably: temporary file, fsync, rename (all three by
// renameio), fsync of the directory. At no moment is there no file under the
// name.
func (d *Dir) replace(name string, content []byte) error {
	f, err := renameio.NewPendingFile(d.file(name), renameio.WithPermissions(0o644), renameio.WithTempDir(d.path))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", d.file(name), err)
	}
	defer f.Cleanup()
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("cannot write %s: %w", d.file(name), err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("cannot write %s: %w", d.file(name), err)
	}
	return d.sync()
}

// sync makes renames in the directory durable.
func (d *Dir) sync() error {
	if err := d.fd.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", d.path, err)
	}
	return nil
}

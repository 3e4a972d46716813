package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"archy-recovery/internal/recover"
)

// A Reader reads a data directory, also while a daemon holds it. It takes no lock and
// writes nothing. So it keeps no copy of a damaged file: the daemon does.
type Reader struct{ dir Dir }

// Read returns a Reader of the data directory at path, which may be missing. Damage that
// the caller can work around goes to report, as in Open.
func Read(path string, report func(text, file string, err error)) (*Reader, error) {
	if _, err := os.ReadDir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the data directory: %w", err)
	}
	r := &Reader{Dir{
		directory: directory{path: path}, readOnly: true, report: report, reported: map[string]string{},
	}}
	if err := r.dir.checkFormat(); err != nil {
		return nil, err
	}
	return r, nil
}

// Running reports whether there is a marker: a run is under way, or did not end cleanly.
func (r *Reader) Running() bool {
	_, err := os.Stat(r.dir.file(markerFile))
	return err == nil
}

// Snapshot returns the last good snapshot, as Dir.Snapshot does.
func (r *Reader) Snapshot() (recover.Snapshot, error) { return r.dir.Snapshot() }

// UserStopped returns the names that are never started automatically, as Dir.UserStopped does.
func (r *Reader) UserStopped() ([]string, error) { return r.dir.UserStopped() }

// Quarantine returns the casebook, as Dir.Quarantine does.
func (r *Reader) Quarantine() (recover.Casebook, error) { return r.dir.Quarantine() }

// Reports returns the reports of earlier recoveries, as Dir.Reports does.
func (r *Reader) Reports() ([]recover.Report, error) { return r.dir.Reports() }

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"archy-recovery/internal/recover"
)

// A Reader reads a data directory that a daemon may hold at the same time, or
// none. It takes no lock and writes nothing, not even a copy of what is
// damaged: that is the daemon's.
type Reader struct{ dir Dir }

// Read looks at the data directory at path, which need not be there. report is
// told of damage that was worked around.
func Read(path string, report func(text, file string, err error)) (*Reader, error) {
	if _, err := os.ReadDir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the data directory: %w", err)
	}
	return &Reader{Dir{path: path, readOnly: true, tell: report, told: map[string]string{}}}, nil
}

// Running reports whether a marker is there: a run is under way, or ended
// badly.
func (r *Reader) Running() bool {
	_, err := os.Stat(r.dir.file(markerFile))
	return err == nil
}

// Snapshot is Dir.Snapshot.
func (r *Reader) Snapshot() (recover.Snapshot, error) { return r.dir.Snapshot() }

// UserStopped is Dir.UserStopped.
func (r *Reader) UserStopped() ([]string, error) { return r.dir.UserStopped() }

// Quarantine is Dir.Quarantine.
func (r *Reader) Quarantine() (recover.Quarantine, error) { return r.dir.Quarantine() }

// Reports is Dir.Reports.
func (r *Reader) Reports() ([]recover.Report, error) { return r.dir.Reports() }

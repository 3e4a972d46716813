package journal

import (
	"os"
	"path/filepath"
	"strings"
)

// Volatile reports whether the journal of this boot is kept in memory only, or not at all
// (Storage= of journald.conf(5)). journald keeps it there until /var is mounted, and then
// moves it to disk where it may.
func (r *Reader) Volatile() bool {
	id, err := os.ReadFile(filepath.Join(r.root, "etc/machine-id"))
	if err != nil {
		return false // not known
	}
	journal := func(dir string) error {
		_, err := os.Stat(filepath.Join(r.root, dir, "log/journal", strings.TrimSpace(string(id)), "system.journal"))
		return err
	}
	return journal("run") == nil || os.IsNotExist(journal("var"))
}

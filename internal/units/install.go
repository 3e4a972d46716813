package units

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// ours is the first line of each unit that Install writes.
const ours = "# Written by archy-recovery for a container that has no unit; gone after a reboot.\n"

// Install writes units (name to text) into the runtime unit directory and has
// the manager read them, once for all. The directory is gone with the boot, so
// nothing of it needs to be durable. A unit of the same name that others put
// there stays as it is.
func (m *Manager) Install(ctx context.Context, units map[string]string) error {
	for name := range units { // all, before the first is written
		if err := checkUnit(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(m.runtimeDir, 0o755); err != nil {
		return err
	}
	for name, text := range units {
		path := filepath.Join(m.runtimeDir, name)
		if _, err := os.Lstat(path); err == nil && !m.wrote(path) {
			continue // someone's own unit for the container: it stands
		}
		if err := renameio.WriteFile(path, []byte(ours+text), 0o644); err != nil {
			return err
		}
	}
	return m.reload(ctx)
}

// wrote reports whether Install wrote the unit file at path.
func (m *Manager) wrote(path string) bool {
	if filepath.Dir(path) != m.runtimeDir {
		return false
	}
	content, err := os.ReadFile(path)
	return err == nil && strings.HasPrefix(string(content), ours)
}

package units

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// header is the first line of each unit that Install writes.
const header = "# Written by archy-recovery for a container that has no unit; gone after a reboot.\n"

// Install writes units, a map of names to texts, to the runtime unit directory. Then it reloads the
// manager once. It keeps a unit of the same name that another program wrote. The directory ends
// with the boot, so no write is durable.
func (m *Manager) Install(ctx context.Context, units map[string]string) error {
	for name := range units { // all names are checked before the first write
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
			continue // another program's unit for the container
		}
		if err := renameio.WriteFile(path, []byte(header+text), 0o644); err != nil {
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
	return err == nil && strings.HasPrefix(string(content), header)
}

// reload has the manager read its unit files again (Manager.Reload).
func (m *Manager) reload(ctx context.Context) error {
	l, err := m.connect(ctx)
	if err != nil {
		return err
	}
	if err := l.call(ctx, managerPath, managerIfc+".Reload").Err; err != nil {
		return fmt.Errorf("cannot reload systemd: %w", l.explain(err))
	}
	return nil
}

package units

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
		if _, err := os.Lstat(path); err == nil && !installedIn(m.runtimeDir, path) {
			continue // another program's unit for the container
		}
		if err := renameio.WriteFile(path, []byte(header+text), 0o644); err != nil {
			return err
		}
	}
	return m.reload(ctx)
}

// RemoveGenerated removes the units that Install wrote for containers that do not exist any
// more. containers are those that do. The manager needs no reload: it forgets a unit that
// does not run and has no file.
func (m *Manager) RemoveGenerated(containers []string) error {
	keep := map[string]bool{}
	for _, name := range containers {
		keep["container-"+name+".service"] = true
	}
	files, err := os.ReadDir(m.runtimeDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range files {
		path := filepath.Join(m.runtimeDir, file.Name())
		of := strings.HasPrefix(file.Name(), "container-") && strings.HasSuffix(file.Name(), ".service")
		if !of || keep[file.Name()] || !installedIn(m.runtimeDir, path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// installedIn reports whether Install wrote the unit file at path, into a runtime directory.
func installedIn(runtimeDir, path string) bool {
	if filepath.Dir(path) != runtimeDir {
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

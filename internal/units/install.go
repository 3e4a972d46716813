package units

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// header is the first line of each unit that Install writes.
const header = "# Written by archy-recovery for a container that has no unit; gone after a reboot.\n"

// Install writes units, a map of names to texts, to the runtime unit directory, and has the manager read
// them. It keeps a unit of the same name that another program wrote. The directory ends with the boot,
// so no write is durable.
//
// A reload of the manager runs all generators and reads all units again: tenths of a second, in which a
// boot starts nothing. So there is one only where systemd does not find the files by itself.
func (m *Manager) Install(ctx context.Context, units map[string]string) error {
	for name := range units { // all names are checked before the first write
		if err := checkUnit(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(m.runtimeDir, 0o755); err != nil {
		return err
	}
	replaced := false
	for name, text := range units {
		path := filepath.Join(m.runtimeDir, name)
		_, err := os.Lstat(path)
		if err == nil && !installedIn(m.runtimeDir, path) {
			continue // another program's unit for the container
		}
		if present, _ := os.ReadFile(path); err == nil && string(present) == header+text {
			continue
		}
		replaced = replaced || err == nil // systemd may take the old one for newer, after the clock was set back
		if err := renameio.WriteFile(path, []byte(header+text), 0o644); err != nil {
			return err
		}
	}
	if err := m.writeHolder(); err != nil {
		return err
	}
	if !replaced && m.startHolder(ctx) == nil && m.upToDate(ctx, append(slices.Collect(maps.Keys(units)), holder)) {
		return nil
	}
	if err := m.reload(ctx); err != nil {
		return err
	}
	_ = m.startHolder(ctx) // without it systemctl shows less, and the units start all the same
	return nil
}

// upToDate reports whether systemd has loaded the units from the files that are there now. It finds a new
// file when it loads a unit, and does not read one again (Manager.ListUnitsByNames, Unit.NeedDaemonReload).
func (m *Manager) upToDate(ctx context.Context, units []string) bool {
	l, err := m.connect(ctx)
	if err != nil {
		return false
	}
	listed, err := l.listByNames(ctx, units)
	if err != nil {
		return false
	}
	var asked []property
	for _, u := range listed {
		if u.Load != "loaded" {
			return false
		}
		asked = append(asked, property{u.Path, unitIfc, "NeedDaemonReload"})
	}
	for _, a := range l.getAll(ctx, asked) {
		if outdated, known := a.value.Value().(bool); !known || outdated {
			return false
		}
	}
	return true
}

// RemoveGenerated removes the units that Install wrote for containers that do not exist any
// more. containers are those that do. systemd forgets the units with the next reload.
func (m *Manager) RemoveGenerated(containers []string) error {
	keep := map[string]bool{}
	for _, name := range containers {
		keep["container-"+name+".service"] = true
	}
	own, err := m.generated()
	if err != nil {
		return err
	}
	removed := false
	for _, name := range own {
		if keep[name] {
			continue
		}
		if err := os.Remove(filepath.Join(m.runtimeDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		removed = true
	}
	if !removed {
		return nil
	}
	return m.writeHolder()
}

// generated lists the units that Install wrote.
func (m *Manager) generated() (names []string, err error) {
	files, err := os.ReadDir(m.runtimeDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, file := range files {
		of := strings.HasPrefix(file.Name(), "container-") && strings.HasSuffix(file.Name(), ".service")
		if _, own := ownFile(m.runtimeDir, file.Name()); own && of {
			names = append(names, file.Name())
		}
	}
	return names, nil
}

// ownFile is the file that Install writes for a unit, and reports whether it has.
func ownFile(runtimeDir, unit string) (path string, own bool) {
	path = filepath.Join(runtimeDir, unit)
	return path, installedIn(runtimeDir, path)
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

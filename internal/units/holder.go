package units

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// holder is a target that keeps the units of Install loaded. Such a unit has no process left
// when its container runs, and systemd unloads a unit that has ended and that nothing refers
// to. systemctl would then know neither its times nor its result. An active target refers to
// the units by After=, which starts and stops nothing (systemd.unit(5)). Unlike a reference
// of a bus client (Manager.RefUnit), it outlives this process and costs no call a unit.
const holder = "archy-recovery-containers.target"

// writeHolder writes the target for the units that Install wrote.
func (m *Manager) writeHolder() error {
	names, err := m.generated()
	if err != nil {
		return err
	}
	return m.writeTarget(holder, "Containers Without Units, Started by archy-recovery", names)
}

// writeTarget writes a target that is ordered after the units, and does nothing else.
func (m *Manager) writeTarget(name, description string, units []string) error {
	text := "# Written by archy-recovery; gone after a reboot.\n[Unit]\nDescription=" + description + "\n" +
		"DefaultDependencies=no\nConflicts=shutdown.target\nBefore=shutdown.target\n"
	if len(units) > 0 {
		text += "After=" + strings.Join(units, " ") + "\n"
	}
	path := filepath.Join(m.runtimeDir, name)
	if present, err := os.ReadFile(path); err == nil && string(present) == text {
		return nil // systemd need not read it again
	}
	return os.WriteFile(path, []byte(text), 0o644) // systemd reads it when it is told to, and it ends with the boot
}

// startHolder starts the target. It does not wait: no unit has a job yet that the target is
// ordered after.
func (m *Manager) startHolder(ctx context.Context) error {
	l, err := m.connect(ctx)
	if err != nil {
		return err
	}
	if err := l.call(ctx, managerPath, managerIfc+".StartUnit", holder, "fail").Err; err != nil {
		return fmt.Errorf("cannot start %s: %w", holder, l.explain(err))
	}
	return nil
}

package units

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
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
	text := header + "[Unit]\nDescription=Containers Without Units, Started by archy-recovery\n" +
		"DefaultDependencies=no\nConflicts=shutdown.target\nBefore=shutdown.target\n"
	if len(names) > 0 {
		text += "After=" + strings.Join(names, " ") + "\n"
	}
	path := filepath.Join(m.runtimeDir, holder)
	if present, err := os.ReadFile(path); err == nil && string(present) == text {
		return nil // systemd need not read it again
	}
	return renameio.WriteFile(path, []byte(text), 0o644)
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

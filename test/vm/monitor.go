package vm

import (
	"fmt"
	"io"
)

// listenMonitor reads what QEMU says (docs/interop/qmp-spec in its source), so
// that it is never held up, and drops it: what a command does to the machine the
// agent tells.
func (q *qemu) listenMonitor() { _, _ = io.Copy(io.Discard, q.monitor) }

// tell gives QEMU a command.
func (q *qemu) tell(command string) error {
	if _, err := fmt.Fprintln(q.monitor, command); err != nil {
		return fmt.Errorf("tell QEMU %s: %w", command, err)
	}
	return nil
}

package vm

import (
	"fmt"
	"io"
)

// listenMonitor reads and drops QEMU's messages (docs/interop/qmp-spec in its
// source), so that QEMU never blocks on them. The agent reports the effect of a
// command.
func (q *qemu) listenMonitor() { _, _ = io.Copy(io.Discard, q.monitor) }

// tell sends QEMU a command.
func (q *qemu) tell(command string) error {
	if _, err := fmt.Fprintln(q.monitor, command); err != nil {
		return fmt.Errorf("send QEMU the command %s: %w", command, err)
	}
	return nil
}

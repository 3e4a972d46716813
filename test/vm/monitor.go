package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
)

// listenMonitor counts the events that QEMU tells (QMP's specification is in
// docs/interop of its source). Answers to commands are not waited for: the
// events that follow say more.
func (q *qemu) listenMonitor() {
	in := bufio.NewReader(q.monitor)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var said struct {
			Event string `json:"event"`
		}
		if json.Unmarshal(line, &said) == nil && said.Event != "" {
			q.change(func() { q.events[said.Event]++ })
		}
	}
}

// tell gives QEMU a command.
func (q *qemu) tell(command string) error {
	if _, err := fmt.Fprintln(q.monitor, command); err != nil {
		return fmt.Errorf("tell QEMU %s: %w", command, err)
	}
	return nil
}

// awaitEvent waits until QEMU has told of an event, since it was started.
func (q *qemu) awaitEvent(ctx context.Context, event string) error {
	return q.await(ctx, "QEMU's event "+event, func() (bool, error) {
		if q.gone && q.events[event] == 0 {
			return false, fmt.Errorf("QEMU ended and told of no %s", event)
		}
		return q.events[event] > 0, nil
	})
}

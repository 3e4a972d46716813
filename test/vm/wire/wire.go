// Package wire defines the messages between a test and the agent inside its
// virtual machine. Each message is a line of JSON on a virtio serial port.
package wire

import "time"

// Port is the name of the serial port.
const Port = "archy.agent"

// A Request makes the agent run a command as root.
type Request struct {
	ID    int           `json:"id"`
	Args  []string      `json:"args"`
	Stdin []byte        `json:"stdin,omitempty"`
	Limit time.Duration `json:"limit"` // the agent kills the command after this time
}

// A Reply is the result of a command. With Boot set, it is the agent's greeting.
type Reply struct {
	ID   int    `json:"id,omitempty"`
	Boot string `json:"boot,omitempty"` // the boot ID: 32 hexadecimal digits

	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	Exit   int    `json:"exit,omitempty"`
	// Error says why there is no exit status: the command did not start, or was killed.
	Error string `json:"error,omitempty"`
}

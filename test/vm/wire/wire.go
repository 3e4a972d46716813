// Package wire is what a test and the agent inside its virtual machine say to
// each other over a virtio serial port: a line of JSON each.
package wire

import "time"

// Port is the name of the serial port.
const Port = "archy.agent"

// A Request has the agent run a command as root.
type Request struct {
	ID    int           `json:"id"`
	Args  []string      `json:"args"`
	Stdin []byte        `json:"stdin,omitempty"`
	Limit time.Duration `json:"limit"` // then it is killed
}

// A Reply is how a command ended, or, with Boot set, that the agent is there.
type Reply struct {
	ID   int    `json:"id,omitempty"`
	Boot string `json:"boot,omitempty"` // the boot ID: 32 hexadecimal digits

	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	Exit   int    `json:"exit,omitempty"`
	// Error says why there is no exit status: it could not be started, or was killed.
	Error string `json:"error,omitempty"`
}

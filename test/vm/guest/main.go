// Command guest runs inside a test's virtual machine. As PID 1 of the initial RAM
// disk it mounts the disk and starts systemd. As a service it is the agent that
// runs the test's commands.
package main

import (
	"fmt"
	"os"
)

func main() {
	run := agent
	if os.Getpid() == 1 {
		run = initramfs
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

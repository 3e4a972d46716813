// Command archy-recovery brings the podman containers of a host back after a
// crash. See archy-recovery(1).
package main

import (
	"os"

	"archy-recovery/internal/cli"
)

// version is set by the linker.
var version = "devel"

func main() {
	program := cli.Program{Version: version, Daemon: runDaemon}
	os.Exit(program.Run(os.Args[1:], os.Stdout, os.Stderr))
}

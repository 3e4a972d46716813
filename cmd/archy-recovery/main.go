// Command archy-recovery brings the podman containers of a host back after a
// crash. See archy-recovery(1).
package main

import "os"

// version is set by the build.
var version = "devel"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

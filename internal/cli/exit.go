package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes, as archy-recovery(1) lists them.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
	// ExitNotRecovered is for wait: recovery is complete, and a container that should
	// run was not recovered.
	ExitNotRecovered = 3
	// ExitTimeout is for wait: recovery was not complete in time.
	ExitTimeout = 4
	// ExitNoDaemon says that no daemon answers on the socket.
	ExitNoDaemon = 5
	// ExitAlreadyRunning is for the daemon: another one holds the data directory
	// (EX_UNAVAILABLE). systemd does not restart the service after it.
	ExitAlreadyRunning = 69 // ExitNotWritable is for the daemon: it may not write the data directory, or a newer
	// version has (EX_CONFIG). systemd does not restart the service after it.
	ExitNotWritable = 78
)

// An ExitError ends the program with Code. Err is the message; nil prints none.
type ExitError struct {
	Code int
	Err  error
}

func (e ExitError) Error() string { return fmt.Sprint(e.Err) }
func (e ExitError) Unwrap() error { return e.Err }

// usageError is bad usage of cmd; it names the help text.
func usageError(cmd *cobra.Command, err error) error {
	return ExitError{ExitUsage, fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
}

// noArguments accepts no arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(cmd, fmt.Errorf("%s takes no arguments, got %q", cmd.Name(), args))
}

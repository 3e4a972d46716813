package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, documented in the README.
const (
	exitOK             = 0
	exitError          = 1
	exitUsage          = 2
	exitFailures       = 3  // wait: recovery is complete, with failures
	exitTimeout        = 4  // wait: it was not complete in time
	exitNoDaemon       = 5  // nobody answers on the socket
	exitConfig         = 78 // daemon: the data directory may not be written (EX_CONFIG); systemd does not restart us for it
	exitAlreadyRunning = 69 // daemon: another instance lives (EX_UNAVAILABLE); systemd does not restart us for it
)

// exitCode is an error that ends the program with a code, and with a message
// if it wraps an error.
type exitCode struct {
	code int
	err  error
}

func (e exitCode) Error() string { return fmt.Sprint(e.err) }
func (e exitCode) Unwrap() error { return e.err }

// run is the whole program but for os.Exit.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	began := false
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(allowCountingBack(args))
	out := &output{Writer: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	knowShells(root)
	err := root.ExecuteContext(ctx)
	var exit exitCode
	switch {
	case err == nil && out.err == nil:
		return exitOK
	case err == nil:
		fmt.Fprintf(stderr, "archy-recovery: not all could be written: %v\n", out.err)
		return exitError
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintf(stderr, "archy-recovery: %v\n", exit.err)
		}
		return exit.code
	}
	fmt.Fprintf(stderr, "archy-recovery: %v\n", err)
	if !began { // flags and arguments are checked before
		return exitUsage
	}
	return exitError
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "archy-recovery",
		Short: "Bring the podman containers of this host back after a crash",
		Long: `archy-recovery finds out whether the last run of this host ended badly, starts
the containers that were running again, as systemd units and tier by tier,
leaves alone what the operator had stopped, and tells systemd when it is done.

Exit codes: 0 success, 1 error, 2 bad usage, 5 no daemon answers.
wait also: 3 complete with failures, 4 time-out.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, err)
	})
	var at instanceFlags
	at.register(root)
	_ = root.RegisterFlagCompletionFunc("uid", completeUID)                                 // fails for an unknown flag alone
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp) // no verb takes a file
	root.AddCommand(
		newDaemon(&at), newStatus(&at), newWait(&at), newPlan(&at), newReport(&at), newBlame(&at), newPlot(&at), newBoots(&at),
		newSnapshot(&at), newUserStopped(&at), newQuarantine(&at), newConfig(&at), newVersion(),
	)
	return root
}

// knowShells has completion refuse a shell that it does not know: left to
// itself it prints its help text, and a script takes that for a success.
func knowShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if shells, _, err := root.Find([]string{"completion"}); err == nil {
		shells.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usageError(cmd, fmt.Errorf("there are no completions for %q", args[0]))
		}
		shells.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

// usageError adds where to read more.
func usageError(cmd *cobra.Command, err error) error {
	return exitCode{exitUsage, fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
}

// exactly wants n arguments, and says so as a usage error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		if n == 0 {
			return usageError(cmd, fmt.Errorf("%s takes no arguments, got %q", cmd.Name(), args))
		}
		return usageError(cmd, fmt.Errorf("%s wants %s", cmd.Name(), what))
	}
}

// Package cli is the command line: one file a verb. A verb asks the daemon of
// an instance through internal/control's client; some read the files of an
// instance instead, when it has no daemon. See archy-recovery(1).
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

// A Program is what the command line needs from outside.
type Program struct {
	// Version is what the version verb prints.
	Version string
	// Daemon runs the daemon of an instance until ctx ends.
	Daemon func(ctx context.Context, i Instance) error
}

// addVerbs adds all verbs, in the order of --help.
func (p Program) addVerbs(root *cobra.Command, f *globalFlags) {
	root.AddCommand(
		newDaemon(f, p.Daemon),
		newStatus(f),
		newWait(f),
		newPlan(f),
		newReport(f),
		newBlame(f),
		newPlot(f),
		newBoots(f),
		newSnapshot(f),
		newUserStopped(f),
		newQuarantine(f),
		newRetry(f),
		newHold(f),
		newRepair(f),
		newNetwork(f),
		newStorage(f),
		newOnIncomplete(f),
		newConfig(f),
		newVersion(f, p.Version),
	)
}

// Run runs the program with args, which do not include its name, and returns
// its exit code. SIGINT and SIGTERM cancel what runs.
func (p Program) Run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := p.newRoot()
	parsed := false
	root.PersistentPreRun = func(*cobra.Command, []string) { parsed = true }
	root.SetArgs(allowNegativeIDs(root, args))
	out := &output{Writer: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	refuseUnknownShells(root)
	err := root.ExecuteContext(ctx)
	var exit ExitError
	switch {
	case err == nil && out.err == nil:
		return ExitOK
	case err == nil:
		fmt.Fprintf(stderr, "archy-recovery: cannot write all of the output: %v\n", out.err)
		return ExitFailure
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintf(stderr, "archy-recovery: %v\n", exit.Err)
		}
		return exit.Code
	}
	fmt.Fprintf(stderr, "archy-recovery: %v\n", err)
	if !parsed { // cobra rejects flags and arguments before PersistentPreRun
		return ExitUsage
	}
	return ExitFailure
}

func (p Program) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "archy-recovery",
		Short: "Bring the podman containers of this host back after a crash",
		Long: `archy-recovery finds out whether the last run of this host ended in a crash. If it
did, it starts the containers that were running, as systemd units and tier by
tier. It does not start what the operator stopped. When recovery is complete, it
tells systemd.

Exit codes: 0 success, 1 error, 2 bad usage, 5 no daemon answers.
wait also: 3 complete, but not all containers were recovered, 4 time-out.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(usageError)
	var f globalFlags
	f.register(root)
	// No verb takes a file as its argument.
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	p.addVerbs(root, &f)
	return root
}

// refuseUnknownShells makes "completion SHELL" fail for a shell that cobra does
// not know. By default cobra prints help and exits with 0, which a script would
// take for a success.
func refuseUnknownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	completion.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usageError(cmd, fmt.Errorf("there are no completions for the shell %q", args[0]))
	}
	completion.RunE = showHelp
}

// showHelp is the RunE of a command that only has subcommands.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

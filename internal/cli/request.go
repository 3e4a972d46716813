package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// globalFlags are the flags that several verbs have. A process runs one verb, so
// the verbs can share one --json.
type globalFlags struct {
	system bool
	uid    int
	json   bool
}

func (f *globalFlags) register(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.BoolVar(&f.system, "system", false, "the instance for rootful containers (root's default)")
	flags.IntVar(&f.uid, "uid", -1, "the instance for the rootless containers of user `N`")
	flags.Lookup("uid").DefValue = "0"                      // --help does not show a zero; -1 would confuse
	_ = root.RegisterFlagCompletionFunc("uid", completeUID) // fails only for an unknown flag
}

// addJSON adds --json to a verb and its subcommands.
func (f *globalFlags) addJSON(cmd *cobra.Command, usage string) {
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, usage)
}

// pick returns the instance that --system or --uid name. The default is the
// system instance for root, and one's own UID for another user.
func (f *globalFlags) pick() (Instance, error) {
	switch {
	case f.uid < -1:
		return Instance{}, ExitError{ExitUsage, fmt.Errorf("--uid=%d is not a valid UID", f.uid)}
	case f.system && f.uid >= 0:
		return Instance{}, ExitError{ExitUsage, errors.New("--system and --uid exclude each other")}
	case f.system, f.uid < 0 && os.Getuid() == 0:
		return Instance{System: true}, nil
	case f.uid >= 0:
		return Instance{UID: f.uid}, nil
	}
	return Instance{UID: os.Getuid()}, nil
}

// A request is one run of a verb.
type request struct {
	Instance
	cmd  *cobra.Command
	args []string
	json bool
}

// onInstance returns a RunE that picks the instance and calls run.
func (f *globalFlags) onInstance(run func(request) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		i, err := f.pick()
		if err != nil {
			return err
		}
		return run(request{i, cmd, args, f.json})
	}
}

func (r request) ctx() context.Context { return r.cmd.Context() }
func (r request) out() io.Writer       { return r.cmd.OutOrStdout() }

// answer calls ask and shows the value that it returns. It explains the errors of
// the client. A verb that asks one thing is this one call.
func answer[T any](r request, ask func(request) (T, error), printText func(w io.Writer, value T, width int)) error {
	value, err := ask(r)
	if err != nil {
		return r.explain(err)
	}
	return show(r, value, printText)
}

// show prints a value as JSON with --json, and else as text. A width of 0 is
// unlimited.
func show[T any](r request, value T, printText func(w io.Writer, value T, width int)) error {
	if r.json {
		return printJSON(r.out(), value)
	}
	printText(r.out(), value, widthOf(r.out()))
	return nil
}

// printJSON prints a value, indented.
func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

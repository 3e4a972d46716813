package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newUserStopped(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user-stopped",
		Short: "Manage the list of containers that are never started automatically",
		Args:  noArguments,
		RunE:  showHelp,
	}
	f.addJSON(cmd, "print JSON")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List their names",
			Args:  noArguments,
			RunE:  f.onInstance(func(r request) error { return answer(r, askUserStopped, printNames) }),
		},
		newUserStoppedSet(f, "add NAME…", "Add containers to the list; running containers are not stopped", true),
		newUserStoppedSet(f, "remove NAME…", "Remove containers from the list, and start what needs them",
			false),
	)
	return cmd
}

func newUserStoppedSet(f *globalFlags, use, short string, stopped bool) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  containerNames,
		ValidArgsFunction: completing(f, func(ctx context.Context, i Instance) []string {
			return userStoppedCandidates(ctx, i, stopped)
		}),
		RunE: f.onInstance(func(r request) error { return setUserStopped(r, stopped) }),
	}
}

func askUserStopped(r request) ([]string, error) {
	answer, err := r.client().UserStopped(r.ctx())
	return answer.Names, err
}

func printNames(w io.Writer, names []string, _ int) {
	for _, name := range names {
		fmt.Fprintln(w, name)
	}
}

// containerNames accepts one container name or more. It checks all of them, so
// that a bad name changes nothing.
func containerNames(cmd *cobra.Command, names []string) error {
	if len(names) == 0 {
		return usageError(cmd, fmt.Errorf("%s needs at least one container name", cmd.Name()))
	}
	for _, name := range names {
		if err := recover.CheckName(name); err != nil {
			return usageError(cmd, err)
		}
	}
	return nil
}

func setUserStopped(r request, stopped bool) error {
	for _, name := range slices.Compact(slices.Sorted(slices.Values(r.args))) {
		answer, err := r.client().SetUserStopped(r.ctx(), name, stopped)
		if err != nil {
			return r.explain(err)
		}
		if !answer.Changed && stopped {
			fmt.Fprintf(r.cmd.ErrOrStderr(), "%s was already on the list\n", name)
		}
		if !answer.Changed && !stopped {
			fmt.Fprintf(r.cmd.ErrOrStderr(), "%s was not on the list\n", name)
		}
	}
	return nil
}

// userStoppedCandidates are the names that a shell offers: for add, the
// containers that are not on the list; for remove, the list.
func userStoppedCandidates(ctx context.Context, i Instance, add bool) (names []string) {
	st, err := i.client().Status(ctx)
	if err != nil || !add {
		return st.UserStopped
	}
	for _, c := range st.Snapshot.Containers {
		names = append(names, c.Name)
	}
	for _, row := range st.Containers {
		names = append(names, row.Name)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool {
		return slices.Contains(st.UserStopped, name)
	})
}

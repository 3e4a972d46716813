package cli

import (
	"context"
	"fmt"
	"slices"

	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newUserStopped(at *instanceFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "user-stopped",
		Short: "The containers that are never started automatically",
		Args:  exactly(0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List them",
		Args:  exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			u, err := i.client().UserStopped(cmd.Context())
			if err != nil {
				return i.explain(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), u.Names, true)
			}
			for _, name := range u.Names {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	})
	set := func(use, short string, stopped bool) *cobra.Command {
		return &cobra.Command{
			Use:   use,
			Short: short,
			Args:  cobra.ArbitraryArgs,
			ValidArgsFunction: completing(at, func(ctx context.Context, i instance) []string {
				return toSetUserStopped(ctx, i, stopped)
			}),
			RunE: func(cmd *cobra.Command, names []string) error {
				return setUserStopped(cmd, at, names, stopped)
			},
		}
	}
	cmd.AddCommand(
		set("add NAME…", "Put containers on the list; running ones are not stopped", true),
		set("remove NAME…", "Take containers off the list; they are not started", false))
	return cmd
}

func setUserStopped(cmd *cobra.Command, at *instanceFlags, names []string, stopped bool) error {
	if len(names) == 0 {
		return usageError(cmd, fmt.Errorf("%s wants at least one container name", cmd.Name()))
	}
	for _, name := range names { // all of them before the first is taken
		if err := recover.CheckName(name); err != nil {
			return usageError(cmd, err)
		}
	}
	i, err := at.pick()
	if err != nil {
		return err
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		u, err := i.client().SetUserStopped(cmd.Context(), name, stopped)
		if err != nil {
			return i.explain(err)
		}
		if !u.Changed && stopped {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s was on the list already\n", name)
		}
		if !u.Changed && !stopped {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s was not on the list\n", name)
		}
	}
	return nil
}

package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// completeWithin bounds how long the shell waits for names.
const completeWithin = 2 * time.Second

// completing makes a shell offer the names that list returns, without the
// arguments that are already there. If list finds nothing, there is no offer.
func completing(f *globalFlags, list func(context.Context, Instance) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		i, err := f.pick()
		if err != nil || cmd.Args(cmd, append(slices.Clone(args), "one-more")) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		names := slices.DeleteFunc(list(ctx, i), func(name string) bool { return slices.Contains(args, name) })
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeUID makes a shell offer the users whose instances have a socket.
func completeUID(*cobra.Command, []string, string) (uids []string, _ cobra.ShellCompDirective) {
	for _, i := range instances() {
		if !i.System {
			uids = append(uids, i.Name())
		}
	}
	return uids, cobra.ShellCompDirectiveNoFileComp
}

package cli

import (
	"context"
	"slices"
	"strconv"
	"time"

	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

// completeWithin bounds what the shell's user waits for.
const completeWithin = 2 * time.Second

// completing has a shell offer what list finds, without the arguments that are
// there already. Where nobody can be asked it offers nothing.
func completing(at *instanceFlags, list func(context.Context, instance) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		i, err := at.pick()
		if err != nil || cmd.Args(cmd, append(slices.Clone(args), "one-more")) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		names := slices.DeleteFunc(list(ctx, i), func(name string) bool { return slices.Contains(args, name) })
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeUID offers the users whose instances are there.
func completeUID(*cobra.Command, []string, string) (uids []string, _ cobra.ShellCompDirective) {
	for _, i := range instances() {
		if !i.system {
			uids = append(uids, i.name())
		}
	}
	return uids, cobra.ShellCompDirectiveNoFileComp
}

// toSetUserStopped are the names that the list has, or else those of containers
// that could be put on it.
func toSetUserStopped(ctx context.Context, i instance, add bool) (names []string) {
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
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return slices.Contains(st.UserStopped, name) })
}

func suspectNames(ctx context.Context, i instance) (names []string) {
	q, _ := i.client().Quarantine(ctx)
	for _, s := range q.Suspects {
		names = append(names, s.Name)
	}
	return names
}

// recoveryIDs are the recoveries that are remembered, the last one first, each
// with its time.
func recoveryIDs(ctx context.Context, i instance) (ids []string) {
	reports, _ := i.history(ctx)
	for _, r := range slices.Backward(reports) {
		ids = append(ids, strconv.Itoa(r.ID)+"\t"+r.Started.Local().Format(time.DateTime)+", after "+timeline.Ending(r.Verdict.Ending))
	}
	return ids
}

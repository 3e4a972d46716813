package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

// idHelp explains the argument [ID].
const idHelp = `ID is the number of a recovery, as report --list shows it. "last" or 0 is the last
one, -1 the one before it, and so on. Without an ID it is the recovery that is in
progress, or else the last one. Without a daemon the history is read from the data
directory.`

var negativeID = regexp.MustCompile(`^-[0-9]+$`)

// allowNegativeIDs rewrites arguments such as -1 to last-1 if the line has a
// verb that takes an ID: cobra would take them for flags.
func allowNegativeIDs(root *cobra.Command, args []string) []string {
	takesID := func(arg string) bool {
		return slices.ContainsFunc(root.Commands(), func(verb *cobra.Command) bool {
			return verb.Name() == arg && strings.HasSuffix(verb.Use, " [ID]")
		})
	}
	if !slices.ContainsFunc(args, takesID) {
		return args
	}
	args = slices.Clone(args)
	for i, a := range args {
		if negativeID.MatchString(a) && (i == 0 || args[i-1] != "--uid") {
			args[i] = "last" + a
		}
	}
	return args
}

// idOf is the ID among the arguments, "" without one.
func idOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	if n, ok := strings.CutPrefix(args[0], "last-"); ok {
		return "-" + n
	}
	return args[0]
}

// atMostOneID accepts an ID or no argument.
func atMostOneID(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError(cmd, fmt.Errorf("%s takes at most one ID of a recovery", cmd.Name()))
	}
	return nil
}

// recoveryIDs are the IDs that a shell offers, the last recovery first, each with
// its time and verdict.
func recoveryIDs(ctx context.Context, i Instance) (ids []string) {
	reports, _ := i.reports(ctx)
	for _, r := range slices.Backward(reports) {
		ids = append(ids, fmt.Sprintf("%s\t%s, after %s",
			strconv.Itoa(r.ID), r.Started.Local().Format(time.DateTime), timeline.Ending(r.Verdict.Ending)))
	}
	return ids
}

package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// takesID are the verbs with the argument [ID].
var takesID = []string{"report", "blame", "plot"}

// idHelp explains the argument.
const idHelp = `ID is the number of a recovery, as report --list shows it; "last" or 0 for the
last one, -1 for the one before it, and so on. Without an ID it is the recovery
that is under way, or else the last one. Without a daemon the history is read
from the data directory.`

var countsBack = regexp.MustCompile(`^-[0-9]+$`)

// allowCountingBack rewrites arguments such as -1, which would be taken for
// flags, for the verbs that mean recoveries by them.
func allowCountingBack(args []string) []string {
	if !slices.ContainsFunc(args, func(a string) bool { return slices.Contains(takesID, a) }) {
		return args
	}
	args = slices.Clone(args)
	for i, a := range args {
		if countsBack.MatchString(a) && (i == 0 || args[i-1] != "--uid") {
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
	if back, ok := strings.CutPrefix(args[0], "last-"); ok {
		return "-" + back
	}
	return args[0]
}

// atMostID wants an ID or nothing.
func atMostID(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return exactly(1, "at most one ID of a recovery")(cmd, args)
	}
	return nil
}

package cli

import (
	"fmt"
	"time"

	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

func newPlot(at *instanceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "plot [ID]",
		Short: "Draw a recovery as an SVG, as systemd-analyze plot does a boot",
		Long: `Draw a recovery over a time axis and print it as an SVG: a bar a container, tiers
as bands, and READY as a line. The picture needs nothing else to be shown, and
follows the viewer's light or dark theme. A long time in which nothing changes is
shortened, and marked as such.

` + idHelp,
		Example: `  archy-recovery plot > recovery.svg
  archy-recovery plot -1 > before.svg`,
		Args:              atMostID,
		ValidArgsFunction: completing(at, recoveryIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if isTerminal(out) {
				return usageError(cmd, fmt.Errorf("an SVG on a terminal helps nobody: %s > recovery.svg", cmd.CommandPath()))
			}
			i, err := at.pick()
			if err != nil {
				return err
			}
			r, err := i.report(cmd.Context(), idOf(args))
			if err != nil {
				return err
			}
			return timeline.SVG(out, r, time.Now())
		},
	}
}

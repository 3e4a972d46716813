package cli

import (
	"fmt"
	"time"

	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

func newPlot(f *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "plot [ID]",
		Short: "Draw a recovery as an SVG, as systemd-analyze plot does for a boot",
		Long: `Draw a recovery over a time axis and print it as an SVG: one bar per container,
one band per tier, and a line for READY. The picture needs no other file, and
follows the viewer's light or dark theme. A long time in which nothing changes is
shortened, and marked as such.

` + idHelp,
		Example: `  archy-recovery plot > recovery.svg
  archy-recovery plot -1 > before.svg`,
		Args:              atMostOneID,
		ValidArgsFunction: completing(f, recoveryIDs),
		RunE: f.onInstance(func(r request) error {
			if isTerminal(r.out()) {
				return usageError(r.cmd, fmt.Errorf("a terminal cannot show an SVG. Write it to a file: %s > recovery.svg",
					r.cmd.CommandPath()))
			}
			report, err := askReport(r)
			if err != nil {
				return err
			}
			return timeline.SVG(r.out(), report, time.Now())
		}),
	}
}

package cli

import (
	"fmt"
	"io"
	"slices"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

// A blamed container is one line of blame.
type blamed struct {
	Name     string           `json:"name"`
	Seconds  float64          `json:"seconds"`
	Tier     int              `json:"tier"`
	Unit     string           `json:"unit,omitempty"`
	Attempts int              `json:"attempts"`
	State    recover.RowState `json:"state"`
}

func newBlame(at *instanceFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "blame [ID]",
		Short: "List the containers of a recovery by how long they took, slowest first",
		Long: `List the containers of a recovery by the time from their first start to the end of
the last, slowest first, as systemd-analyze blame does for a boot. Pauses before a
second attempt are part of it. A slow container does not hold up others but those
of later tiers: archy-recovery plot shows which time mattered.

` + idHelp,
		Args:              atMostID,
		ValidArgsFunction: completing(at, recoveryIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			r, err := i.report(cmd.Context(), idOf(args))
			if err != nil {
				return err
			}
			all := blame(r)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all, true)
			}
			printBlame(cmd.OutOrStdout(), r)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// slowestFirst are the rows that took time.
func slowestFirst(r recover.Report) []recover.Row {
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row recover.Row) bool { return row.Took() <= 0 })
	slices.SortStableFunc(rows, func(a, b recover.Row) int { return int(min(max(b.Took()-a.Took(), -1), 1)) })
	return rows
}

func blame(r recover.Report) []blamed {
	all := []blamed{}
	for _, row := range slowestFirst(r) {
		all = append(all, blamed{row.Name, row.Took().Seconds(), row.Tier, row.Unit, len(row.Attempts), row.State})
	}
	return all
}

func printBlame(w io.Writer, r recover.Report) {
	rows := slowestFirst(r)
	if len(rows) == 0 {
		fmt.Fprintln(w, "Nothing was started.")
	}
	for _, row := range rows {
		note := ""
		switch {
		case row.State != recover.RowUp && len(row.Attempts) > 1:
			note = fmt.Sprintf(" (%s, %d tries)", row.State, len(row.Attempts))
		case row.State != recover.RowUp:
			note = fmt.Sprintf(" (%s)", row.State)
		case len(row.Attempts) > 1:
			note = fmt.Sprintf(" (%d tries)", len(row.Attempts))
		}
		fmt.Fprintf(w, "%11s %s%s\n", timeline.Span(row.Took()), printable(row.Name), note)
	}
}

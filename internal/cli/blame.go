package cli

import (
	"fmt"
	"io"
	"slices"
	"time"

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

	took time.Duration // Seconds, exactly
}

func newBlame(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "blame [ID]",
		Short: "List the containers of a recovery by how long they took, slowest first",
		Long: `List the containers of a recovery by the time from their first start to the end of
the last, slowest first, as systemd-analyze blame does for a boot. The time
includes the pause before a second attempt. A slow container delays only the
containers of later tiers: archy-recovery plot shows which time mattered.

` + idHelp,
		Args:              atMostOneID,
		ValidArgsFunction: completing(f, recoveryIDs),
		RunE:              f.onInstance(func(r request) error { return answer(r, askBlamed, printBlamed) }),
	}
	f.addJSON(cmd, "print JSON")
	return cmd
}

func askBlamed(r request) ([]blamed, error) {
	report, err := askReport(r)
	return slowestFirst(report), err
}

// slowestFirst lists the containers that took time. It is never nil, so that
// JSON has a list.
func slowestFirst(r recover.Report) []blamed {
	all := []blamed{}
	for _, row := range r.Rows {
		if took := row.Took(); took > 0 {
			all = append(all, blamed{row.Name, took.Seconds(), row.Tier, row.Unit, len(row.Attempts), row.State, took})
		}
	}
	slices.SortStableFunc(all, func(a, b blamed) int { return int(min(max(b.took-a.took, -1), 1)) })
	return all
}

func printBlamed(w io.Writer, all []blamed, _ int) {
	if len(all) == 0 {
		fmt.Fprintln(w, "Nothing was started.")
	}
	for _, b := range all {
		note := ""
		switch {
		case b.State != recover.RowUp && b.Attempts > 1:
			note = fmt.Sprintf(" (%s, %d tries)", b.State, b.Attempts)
		case b.State != recover.RowUp:
			note = fmt.Sprintf(" (%s)", b.State)
		case b.Attempts > 1:
			note = fmt.Sprintf(" (%d tries)", b.Attempts)
		}
		fmt.Fprintf(w, "%11s %s%s\n", timeline.Span(b.took), printable(b.Name), note)
	}
}

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

func newReport(at *instanceFlags) *cobra.Command {
	var list, asJSON, asHTML, full bool
	cmd := &cobra.Command{
		Use:   "report [ID]",
		Short: "Show a recovery: each container with its times, and the verdict with its evidence",
		Long: `Show a recovery as a table: when each container's turn came, when its first start
began and when it was up, as offsets from the beginning of the recovery; then how
the last run ended, with the journal entries that say so.

` + idHelp,
		Example: `  archy-recovery report
  archy-recovery report --list
  archy-recovery report -1 --json
  archy-recovery report 12 --html > recovery.html`,
		Args:              atMostID,
		ValidArgsFunction: completing(at, recoveryIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case asJSON && asHTML, list && asHTML:
				return usageError(cmd, errors.New("--html goes with neither --json nor --list"))
			case list && len(args) > 0:
				return usageError(cmd, errors.New("--list takes no ID"))
			}
			i, err := at.pick()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			width := widthOf(out)
			if full {
				width = 0
			}
			if list {
				reports, err := i.history(cmd.Context())
				switch {
				case err != nil:
					return err
				case asJSON:
					return printJSON(out, control.Recoveries{Recoveries: append([]recover.Report{}, reports...)}, true)
				}
				printHistory(out, reports, width)
				return nil
			}
			if asHTML && isTerminal(out) {
				return usageError(cmd, fmt.Errorf("a page on a terminal helps nobody: %s --html > recovery.html", cmd.CommandPath()))
			}
			r, err := i.report(cmd.Context(), idOf(args))
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(out, r, true)
			case asHTML:
				return timeline.HTML(out, r, time.Now())
			}
			printReport(out, r, width)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&list, "list", "l", false, "list the recoveries in the history, oldest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asHTML, "html", false, "print one self-contained page with picture, table and evidence")
	cmd.Flags().BoolVar(&full, "full", false, "do not cut what is too wide for the terminal")
	return cmd
}

// printHistory lists recoveries, oldest first.
func printHistory(w io.Writer, reports []recover.Report, width int) {
	if len(reports) == 0 {
		fmt.Fprintln(w, "There is no recovery in the history yet.")
		return
	}
	t := table{columns: []column{{head: "ID", right: true}, {head: "TIME"}, {head: "BOOT", drop: 3}, {head: "VERDICT"}, {head: "CAUSE", drop: 2},
		{head: "TOOK", right: true, drop: 1}, {head: "RESULT", least: 12}}}
	for _, r := range reports {
		took := "-"
		if !r.Finished.IsZero() {
			took = timeline.Span(r.Finished.Sub(r.Started))
		}
		t.add(strconv.Itoa(r.ID), r.Started.Local().Format(time.DateTime), shortBoot(r.BootID), string(r.Verdict.Ending),
			string(r.Verdict.Cause), took, counts(r))
	}
	t.print(w, width)
}

// shortBoot is a boot ID as people tell boots apart; journalctl takes the whole
// one, which --json has.
func shortBoot(id string) string { return cutTo(id, 9) }

// counts says how many containers ended how.
func counts(r recover.Report) string {
	n := r.Counts()
	var words []string
	for _, c := range []struct {
		state recover.RowState
		word  string
	}{
		{recover.RowUp, "started"}, {recover.RowFailed, "failed"}, {recover.RowActive, "ran already"},
		{recover.RowDeferred, "deferred"}, {recover.RowSkipped, "skipped"}, {recover.RowMissing, "missing"},
		{recover.RowUserStopped, "user-stopped"}, {recover.RowQuarantined, "quarantined"}, {recover.RowHeld, "held back"},
	} {
		if n[c.state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", n[c.state], c.word))
		}
	}
	return cmp.Or(strings.Join(words, ", "), "nothing to start")
}

// printReport is for people.
func printReport(w io.Writer, r recover.Report, width int) {
	name := "Recovery"
	if r.ID != 0 {
		name += " " + strconv.Itoa(r.ID)
	}
	result := "not finished"
	if !r.Finished.IsZero() {
		result = fmt.Sprintf("READY after %s, %s", timeline.Span(r.Finished.Sub(r.Started)), r.Summary())
	}
	fmt.Fprint(w, fold(fmt.Sprintf("%s at %s in boot %s: %s", name, r.Started.Format(time.DateTime), r.BootID, result), "", width))
	if len(r.Rows) > 0 {
		fmt.Fprintln(w)
		printReportRows(w, r, width)
	}
	fmt.Fprintln(w)
	fmt.Fprint(w, fold("The last run ended: "+verdictLine(r.Verdict), "", width))
	for _, e := range r.Verdict.Evidence {
		fmt.Fprint(w, fold(e.Time.Format("2006-01-02 15:04:05.000")+" "+e.Message, "  ", width))
		if e.Cursor != "" {
			fmt.Fprintf(w, "    cursor %s\n", printable(e.Cursor))
		}
	}
	for _, note := range r.Notes {
		fmt.Fprint(w, fold("Note: "+note, "", width))
	}
}

// printReportRows is the table. Where it is too wide, the errors, which one
// wants to read to the end, stand below it instead.
func printReportRows(w io.Writer, r recover.Report, width int) {
	t := table{columns: []column{{head: "CONTAINER", least: 12}, {head: "TIER", drop: 1}, {head: "UNIT", least: 16, drop: 5}, {head: "TRIES", right: true, drop: 2},
		{head: "QUEUED", right: true, drop: 4}, {head: "STARTED", right: true, drop: 3}, {head: "UP", right: true, drop: 2}, {head: "TOOK", right: true},
		{head: "RESULT", least: 10}, {head: "ERROR"}}}
	for _, row := range r.Rows {
		t.add(reportCells(r, row)...)
	}
	if t.fits(width) {
		t.print(w, width)
		return
	}
	for _, cells := range t.rows {
		cells[len(cells)-1] = ""
	}
	t.print(w, width)
	fmt.Fprintln(w)
	for _, row := range r.Rows {
		if row.Error != "" {
			fmt.Fprint(w, fold(row.Name+": "+row.Error, "  ", width))
		}
	}
}

// reportCells is a container's line: what did not happen is a dash.
func reportCells(r recover.Report, row recover.Row) []string {
	since := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return timeline.Span(t.Sub(r.Started))
	}
	up, took := time.Time{}, "-"
	if row.State == recover.RowUp {
		up = row.Ended()
	}
	if d := row.Took(); d > 0 {
		took = timeline.Span(d)
	}
	result := string(row.State)
	if n := len(row.Attempts); row.State == recover.RowFailed && n > 0 && row.Attempts[n-1].Result != "" {
		result += " (" + row.Attempts[n-1].Result + ")"
	}
	return []string{row.Name, tierOf(row), cmp.Or(row.Unit, "-"), strconv.Itoa(len(row.Attempts)), since(row.Queued), since(row.Started()),
		since(up), took, result, row.Error}
}

// tierOf is where a container was started.
func tierOf(row recover.Row) string {
	if row.Alone {
		return strconv.Itoa(row.Tier) + ", alone"
	}
	return strconv.Itoa(row.Tier)
}

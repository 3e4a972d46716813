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

// reportFlags are the flags of report.
type reportFlags struct {
	list, html, full bool
}

func newReport(f *globalFlags) *cobra.Command {
	var flags reportFlags
	cmd := &cobra.Command{
		Use:   "report [ID]",
		Short: "Show a recovery: each container with its times, and the verdict with its evidence",
		Long: `Show a recovery as a table: when each container was queued, when its first start
began and when it was up, as offsets from the beginning of the recovery. Below it are
the last lines that were written for each failed attempt. Then show how the last run
ended, with the journal entries that say so.

` + idHelp,
		Example: `  archy-recovery report
  archy-recovery report --list
  archy-recovery report -1 --json
  archy-recovery report 12 --html > recovery.html`,
		Args:              atMostOneID,
		ValidArgsFunction: completing(f, recoveryIDs),
		RunE:              f.onInstance(func(r request) error { return runReport(r, flags) }),
	}
	cmd.Flags().BoolVarP(&flags.list, "list", "l", false, "list the recoveries in the history, oldest first")
	f.addJSON(cmd, "print JSON")
	cmd.Flags().BoolVar(&flags.html, "html", false, "print one self-contained page with picture, table and evidence")
	cmd.Flags().BoolVar(&flags.full, "full", false, "do not cut lines that are too wide for the terminal")
	return cmd
}

func runReport(r request, flags reportFlags) error {
	switch {
	case flags.html && (r.json || flags.list):
		return usageError(r.cmd, errors.New("--html excludes --json and --list"))
	case flags.list && len(r.args) > 0:
		return usageError(r.cmd, errors.New("--list takes no ID"))
	case flags.html && isTerminal(r.out()):
		return usageError(r.cmd, fmt.Errorf("a terminal cannot show a page. Write it to a file: %s --html > recovery.html",
			r.cmd.CommandPath()))
	case flags.list:
		return answer(r, askHistory, unlessFull(flags.full, printHistory))
	case flags.html:
		report, err := askReport(r)
		if err != nil {
			return err
		}
		return timeline.HTML(r.out(), report, time.Now())
	}
	return answer(r, askReport, unlessFull(flags.full, printReport))
}

// unlessFull drops the limit of the width if full is set.
func unlessFull[T any](full bool, printText func(io.Writer, T, int)) func(io.Writer, T, int) {
	return func(w io.Writer, value T, width int) {
		if full {
			width = 0
		}
		printText(w, value, width)
	}
}

func askHistory(r request) (control.Recoveries, error) {
	reports, err := r.reports(r.ctx())
	return control.Recoveries{Recoveries: append([]recover.Report{}, reports...)}, err // JSON has a list, never null
}

// printHistory lists recoveries, oldest first.
func printHistory(w io.Writer, history control.Recoveries, width int) {
	if len(history.Recoveries) == 0 {
		fmt.Fprintln(w, "There is no recovery in the history yet.")
		return
	}
	t := table{columns: []column{
		{head: "ID", right: true},
		{head: "TIME"},
		{head: "BOOT", drop: 3},
		{head: "VERDICT"},
		{head: "CAUSE", drop: 2},
		{head: "TOOK", right: true, drop: 1},
		{head: "RESULT", least: 12},
	}}
	for _, r := range history.Recoveries {
		took := "-"
		if !r.Finished.IsZero() {
			took = timeline.Span(r.Finished.Sub(r.Started))
		}
		t.add(strconv.Itoa(r.ID), r.Started.Local().Format(time.DateTime), shortBootID(r.BootID),
			string(r.Verdict.Ending), string(r.Verdict.Cause), took, countByResult(r))
	}
	t.printTo(w, width)
}

// shortBootID is enough to tell boots apart. journalctl needs the whole ID, which
// --json has.
func shortBootID(id string) string { return truncate(id, 9) }

// countByResult says how many containers ended in each state.
func countByResult(r recover.Report) string {
	n := r.Counts()
	var words []string
	for _, c := range []struct {
		state recover.RowState
		word  string
	}{
		{recover.RowUp, "started"}, {recover.RowDone, "done"}, {recover.RowFell, "fell"},
		{recover.RowRestarting, "restarting"}, {recover.RowFailed, "failed"},
		{recover.RowNoNetwork, "waiting for the network"}, {recover.RowActive, "ran already"},
		{recover.RowDeferred, "deferred"}, {recover.RowSkipped, "skipped"}, {recover.RowMissing, "missing"},
		{recover.RowDamaged, "damaged"},
		{recover.RowUserStopped, "user-stopped"}, {recover.RowNeedsStopped, "needing a stopped one"},
		{recover.RowQuarantined, "quarantined"}, {recover.RowHeld, "held back"},
	} {
		if n[c.state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", n[c.state], c.word))
		}
	}
	return cmp.Or(strings.Join(words, ", "), "nothing to start")
}

func printReport(w io.Writer, r recover.Report, width int) {
	name := "Recovery"
	if r.ID != 0 {
		name += " " + strconv.Itoa(r.ID)
	}
	result := "not finished"
	if !r.Finished.IsZero() {
		result = fmt.Sprintf("READY after %s, %s", timeline.Span(r.Finished.Sub(r.Started)), r.Summary())
	}
	started := r.Started.Format(time.DateTime)
	fmt.Fprint(w, fold(fmt.Sprintf("%s at %s in boot %s: %s", name, started, r.BootID, result), "", width))
	if len(r.Rows) > 0 {
		fmt.Fprintln(w)
		printReportRows(w, r, width)
	}
	fmt.Fprintln(w)
	fmt.Fprint(w, fold("The last run ended: "+formatVerdict(r.Verdict), "", width))
	if r.Verdict.InWords != "" {
		fmt.Fprint(w, fold("Evidence: "+r.Verdict.InWords, "  ", width))
	}
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

// printReportRows prints the table, and below it the output of failed attempts.
func printReportRows(w io.Writer, r recover.Report, width int) {
	t := table{columns: []column{
		{head: "CONTAINER", least: 12},
		{head: "TIER", drop: 1},
		{head: "UNIT", least: 16, drop: 5},
		{head: "TRIES", right: true, drop: 2},
		{head: "QUEUED", right: true, drop: 4},
		{head: "STARTED", right: true, drop: 3},
		{head: "UP", right: true, drop: 2},
		{head: "TOOK", right: true},
		{head: "RESULT", least: 10},
		{head: "ERROR"},
	}}
	for _, row := range r.Rows {
		t.add(reportCells(r, row)...)
	}
	t.printWithNotes(w, r.Rows, width)
	printOutput(w, r.Rows, width)
}

// reportCells are the cells of a container. A dash is for what did not happen.
func reportCells(r recover.Report, row recover.Row) []string {
	offset := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return timeline.Span(t.Sub(r.Started))
	}
	up, took := time.Time{}, "-"
	switch row.State {
	case recover.RowUp, recover.RowFell, recover.RowRestarting, recover.RowDone:
		up = row.Ended()
	}
	if d := row.Took(); d > 0 {
		took = timeline.Span(d)
	}
	return []string{row.Name, formatTier(row), cmp.Or(row.Unit, "-"), strconv.Itoa(len(row.Attempts)),
		offset(row.Queued), offset(row.Started()), offset(up), took, resultOf(row), note(row)}
}

// resultOf is the state of a row, and how its last attempt ended if that failed or
// fell.
func resultOf(row recover.Row) string {
	result := string(row.State)
	if len(row.Attempts) == 0 {
		return result
	}
	last := row.Attempts[len(row.Attempts)-1]
	switch {
	case row.State == recover.RowFell && last.Fell != nil:
		result += " (" + last.Fell.End() + ")"
	case row.State == recover.RowFailed && last.Result != "":
		result += " (" + last.Result + ")"
	}
	return result
}

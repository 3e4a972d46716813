package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/journal"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

func newStatus(f *globalFlags) *cobra.Command {
	var keepFollowing bool
	var lines int
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of recovery, what runs now, and how the last run ended",
		Long: `Show the state of recovery, what runs now, how the last run ended, and what needs
attention, in the style of systemctl status. STATE is what recovery made of each
container, and NOW is what it does at this moment. With --follow the status is shown
again whenever it changes: in place on a terminal, otherwise one below the other.`,
		Args: noArguments,
		RunE: f.onInstance(func(r request) error {
			if lines < 0 {
				return usageError(r.cmd, fmt.Errorf("--lines=%d is negative", lines))
			}
			if keepFollowing {
				return followStatus(r)
			}
			return answer(r, askStatus, func(w io.Writer, st control.Status, width int) {
				printStatus(w, st, width)
				r.printFromSystemd(r.ctx(), w, lines)
			})
		}),
	}
	f.addJSON(cmd, "print JSON; with --follow one object a line")
	cmd.Flags().IntVarP(&lines, "lines", "n", 10,
		"how many of the service's last journal entries, without --follow and --json")
	cmd.Flags().BoolVarP(&keepFollowing, "follow", "f", false, "show again whenever something changes, until interrupted")
	return cmd
}

func askStatus(r request) (control.Status, error) { return r.client().Status(r.ctx()) }

// followStatus shows the status at each change, until the daemon ends, the user
// interrupts, or the output cannot be written.
func followStatus(r request) error {
	terminal := newScreen(r.out())
	showNext := func(st control.Status) error {
		switch {
		case r.json:
			return json.NewEncoder(r.out()).Encode(st)
		case terminal == nil:
			printStatus(r.out(), st, widthOf(r.out()))
			return nil
		}
		var text strings.Builder
		width, _ := terminal.size()
		printStatus(&text, st, width)
		terminal.draw(splitLines(text.String()))
		return nil
	}
	err := r.client().Follow(r.ctx(), func(st control.Status) bool { return showNext(st) == nil })
	if r.ctx().Err() != nil {
		return nil //nolint:nilerr // the user interrupted, and the error says only that
	}
	return r.explain(err)
}

// splitLines makes lines for a screen.
func splitLines(text string) (lines []line) {
	for l := range strings.Lines(text) {
		lines = append(lines, line{{strings.TrimSuffix(l, "\n"), plain}})
	}
	return lines
}

func printStatus(w io.Writer, st control.Status, width int) {
	instance := "system"
	if st.Instance != "system" {
		instance = "uid " + st.Instance
	}
	says := cmp.Or(st.Progress, "not begun")
	if now := st.NowLine(); st.RecoveryComplete && now != "" {
		says = now
	}
	fmt.Fprint(w, fold(fmt.Sprintf("archy-recovery (%s): %s, %s", instance, st.State, says), "", width))
	printField(w, width, "Last run", formatVerdict(st.Verdict))
	if st.Verdict.InWords != "" {
		printField(w, width, "Evidence", st.Verdict.InWords)
	}
	if st.RecoveryComplete {
		took := fmt.Sprintf("took %s, at %s",
			st.Finished.Sub(st.Started).Round(time.Millisecond), st.Finished.Format(time.DateTime))
		if says != st.Progress {
			took = st.Progress + "; " + took
		}
		printField(w, width, "Recovery", took)
	}
	printField(w, width, "Snapshot", fmt.Sprintf("%d containers, saved %s",
		len(st.Snapshot.Containers), savedAt(st.Snapshot)))
	if !st.HeldUntil.IsZero() {
		printField(w, width, "Held", fmt.Sprintf("until %s: nothing is tried again by itself; "+
			"\"archy-recovery hold --end\" ends that", st.HeldUntil.Local().Format(time.DateTime)))
	}
	if len(st.UserStopped) > 0 {
		printField(w, width, "User-stopped", strings.Join(st.UserStopped, " "))
	}
	for _, suspect := range st.Quarantine.Watched() {
		if suspect.Quarantined {
			printField(w, width, "Quarantined", suspect.Name+": "+suspect.Why())
		} else {
			printField(w, width, "Suspected", suspect.Name+": in flight when the host crashed; it is started last, "+
				"with few others or alone")
		}
	}
	for _, note := range st.Notes {
		printField(w, width, "Warning", note)
	}
	if len(st.Containers) > 0 {
		fmt.Fprintln(w)
		printStatusRows(w, st.Containers, width)
	}
}

// printField prints a labelled text in the style of systemctl status. Its further
// lines begin below the text.
func printField(w io.Writer, width int, label, text string) {
	const indent = "              "
	folded := fold(text, indent, width)
	fmt.Fprintf(w, "%*s: %s", len(indent)-2, label, strings.TrimPrefix(folded, indent))
}

// printStatusRows prints the containers as a table, tier by tier.
func printStatusRows(w io.Writer, rows []recover.Row, width int) {
	t := table{columns: []column{
		{head: "TIER", drop: 1},
		{head: "CONTAINER", least: 12},
		{head: "STATE"},
		{head: "TRIES", right: true, drop: 2},
		{head: "TOOK", right: true},
		{head: "NOW"},
		{head: "UNIT", least: 8, drop: 3},
		{head: "NOTE"},
	}}
	for _, r := range rows {
		took := "-"
		if d := r.Took(); d > 0 {
			took = timeline.Span(d)
		}
		t.add(formatTier(r), r.Name, string(r.State), strconv.Itoa(len(r.Attempts)), took,
			cmp.Or(string(r.Now), "-"), cmp.Or(r.Unit, "-"), note(r))
	}
	t.printWithNotes(w, rows, width)
}

// printFromSystemd prints when the timer elapses next, and the last journal
// entries of the daemon. It leaves out what systemd or the journal do not answer.
func (i Instance) printFromSystemd(ctx context.Context, w io.Writer, lines int) {
	manager := SystemManager()
	defer manager.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if at, runs, err := manager.NextElapse(ctx, i.timerUnit()); err == nil && runs {
		fmt.Fprintf(w, "\nNext check of the snapshot: %s\n", at.Format(time.DateTime))
	}
	if lines == 0 {
		return
	}
	last, err := journal.NewReader(i.Unit(), i.UID).Last(ctx, lines)
	if err != nil || len(last) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, e := range last {
		fmt.Fprintf(w, "%s %s\n", e.Time.Local().Format(time.Stamp), printable(e.Message))
	}
}

func formatVerdict(v recover.Verdict) string {
	if v.Cause != "" {
		return fmt.Sprintf("%s, cause %s: %s", v.Ending, v.Cause, v.Reason)
	}
	return fmt.Sprintf("%s: %s", v.Ending, v.Reason)
}

// formatTier is the tier of a container, and whether it was started alone.
func formatTier(row recover.Row) string {
	if row.Alone {
		return strconv.Itoa(row.Tier) + ", alone"
	}
	return strconv.Itoa(row.Tier)
}

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

func newStatus(at *instanceFlags) *cobra.Command {
	var asJSON, follow bool
	var lines int
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the last run ended and how recovery goes or went",
		Long: `Show how the last run ended, how recovery goes or went, and what needs attention,
in the manner of systemctl status. With --follow it is shown again whenever
something changes: in place on a terminal, one after the other elsewhere.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			shown := newScreen(out)
			show := func(st control.Status) error {
				if asJSON {
					return printJSON(out, st, !follow)
				}
				if follow && shown != nil {
					var text strings.Builder
					width, _ := shown.size()
					printStatus(&text, st, width)
					shown.draw(linesOf(text.String()))
					return nil
				}
				printStatus(out, st, widthOf(out))
				if !follow {
					printAround(cmd.Context(), out, i, lines)
				}
				return nil
			}
			if lines < 0 {
				return usageError(cmd, fmt.Errorf("--lines=%d is negative", lines))
			}
			if !follow {
				st, err := i.client().Status(cmd.Context())
				if err != nil {
					return i.explain(err)
				}
				return show(st)
			}
			err = i.client().Follow(cmd.Context(), func(st control.Status) bool {
				return show(st) == nil
			})
			if cmd.Context().Err() != nil {
				return nil // the user has seen enough
			}
			return i.explain(err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; with --follow one object a line")
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "how many of the service's last journal entries, without --follow and --json")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show again whenever something changes, until interrupted")
	return cmd
}

func printJSON(w io.Writer, value any, indent bool) error {
	e := json.NewEncoder(w)
	if indent {
		e.SetIndent("", "  ")
	}
	return e.Encode(value)
}

// printStatus is for people, in the manner of systemctl status.
func printStatus(w io.Writer, st control.Status, width int) {
	instance := "system"
	if st.Instance != "system" {
		instance = "uid " + st.Instance
	}
	fmt.Fprintf(w, "archy-recovery (%s): %s, %s\n", instance, st.State, cmp.Or(st.Progress, "not begun"))
	fmt.Fprintf(w, "    Last run: %s\n", verdictLine(st.Verdict))
	if st.RecoveryComplete {
		fmt.Fprintf(w, "    Recovery: took %s, at %s\n", st.Finished.Sub(st.Started).Round(time.Millisecond), st.Finished.Format(time.DateTime))
	}
	fmt.Fprintf(w, "    Snapshot: %d containers, saved %s\n", len(st.Snapshot.Containers), savedAt(st.Snapshot))
	if len(st.UserStopped) > 0 {
		fmt.Fprintf(w, "User-stopped: %s\n", strings.Join(st.UserStopped, " "))
	}
	for _, suspect := range st.Quarantine {
		if suspect.Quarantined {
			fmt.Fprintf(w, " Quarantined: %s: %s\n", suspect.Name, suspect.Why())
		} else {
			fmt.Fprintf(w, "   Suspected: %s: in flight when the host crashed, to be started alone\n", suspect.Name)
		}
	}
	for _, note := range st.Notes {
		fmt.Fprintf(w, "     Warning: %s\n", note)
	}
	if len(st.Containers) > 0 {
		fmt.Fprintln(w)
		printRows(w, st.Containers, width)
	}
}

// printAround is what systemd and the journal say beside the daemon. What they
// cannot be asked is left out.
func printAround(ctx context.Context, w io.Writer, i instance, lines int) {
	host := instance{system: true}.manager()
	defer host.Close()
	asking, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if at, runs, err := host.NextElapse(asking, i.timerUnit()); err == nil && runs {
		fmt.Fprintf(w, "\nNext check of the snapshot: %s\n", at.Format(time.DateTime))
	}
	if lines == 0 {
		return
	}
	last, err := journal.NewReader(i.unit(), i.uid).Last(asking, lines)
	if err != nil || len(last) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, e := range last {
		fmt.Fprintf(w, "%s %s\n", e.Time.Local().Format(time.Stamp), printable(e.Message))
	}
}

func verdictLine(v recover.Verdict) string {
	if v.Cause != "" {
		return fmt.Sprintf("%s, cause %s: %s", v.Ending, v.Cause, v.Reason)
	}
	return fmt.Sprintf("%s: %s", v.Ending, v.Reason)
}

func savedAt(s recover.Snapshot) string {
	if s.Timestamp == 0 {
		return "never"
	}
	return time.Unix(s.Timestamp, 0).Format(time.DateTime)
}

// printRows is the recovery as a table, tier by tier.
func printRows(w io.Writer, rows []recover.Row, width int) {
	t := table{columns: []column{{head: "TIER", drop: 1}, {head: "CONTAINER", least: 12}, {head: "STATE"}, {head: "TRIES", right: true, drop: 2},
		{head: "TOOK", right: true}, {head: "UNIT", least: 8, drop: 3}, {head: "NOTE", least: 10}}}
	for _, r := range rows {
		took := "-"
		if d := r.Took(); d > 0 {
			took = timeline.Span(d)
		}
		t.add(tierOf(r), r.Name, string(r.State), strconv.Itoa(len(r.Attempts)), took, cmp.Or(r.Unit, "-"), r.Error)
	}
	t.print(w, width)
}

// linesOf are the lines of a text, for a screen.
func linesOf(text string) (lines []line) {
	for l := range strings.Lines(text) {
		lines = append(lines, line{{strings.TrimSuffix(l, "\n"), plain}})
	}
	return lines
}

package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

func newPlan(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be started if the host crashed now",
		Long: `Show what would be started if the host crashed now, tier by tier: the containers
of the snapshot, without those that are user-stopped or quarantined, or need one
that is. The expected time of each is the median of its last starts by recovery. The
critical path is what the end of recovery would wait for. Nothing is changed.

Without a daemon the plan is made from the files that the daemon left, from the
configuration, and from what podman and systemd say.`,
		Args: noArguments,
		RunE: f.onInstance(func(r request) error { return answer(r, askPlan, printPlan) }),
	}
	f.addJSON(cmd, "print JSON")
	return cmd
}

func askPlan(r request) (recover.Preview, error) {
	p, err := r.client().Plan(r.ctx())
	if noDaemon(err) {
		return r.planWithoutDaemon(r.ctx(), err)
	}
	return p, err
}

// printPlan prints one table, with a heading above the rows of each batch.
func printPlan(w io.Writer, p recover.Preview, width int) {
	total := 0
	for _, b := range p.Batches {
		total += len(b.Containers)
	}
	if total == 0 {
		fmt.Fprintln(w, "If the host crashed now, nothing would be started.")
	} else {
		fmt.Fprint(w, fold("If the host crashed now, this would be started: "+summarizePlan(p, total), "", width))
		fmt.Fprintln(w)
		printBatches(w, p.Batches, width)
		printCriticalPath(w, p, width)
	}
	if len(p.NotStarted) > 0 {
		fmt.Fprintln(w, "\nNot started:")
		t := table{columns: []column{{head: "  CONTAINER", least: 14}, {head: "STATE"}, {head: "WHY", least: 12}}}
		for _, c := range p.NotStarted {
			t.add("  "+c.Name, string(c.State), c.Why)
		}
		t.printTo(w, width)
	}
	if len(p.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range p.Notes {
		fmt.Fprint(w, fold("Note: "+note, "", width))
	}
}

func printBatches(w io.Writer, batches []recover.Batch, width int) {
	t := table{columns: []column{
		{head: "  CONTAINER", least: 14},
		{head: "EXPECTED", right: true},
		{head: "UNIT", least: 8, drop: 1},
		{head: "NOTE", least: 10},
	}}
	for _, b := range batches {
		for _, c := range b.Containers {
			t.add(plannedCells(b, c)...)
		}
	}
	lines := t.lines(width)
	fmt.Fprintln(w, lines[0])
	lines = lines[1:]
	for _, b := range batches {
		heading := batchHeading(b)
		if width > 0 {
			heading = truncate(heading, width)
		}
		fmt.Fprintln(w, heading)
		for range b.Containers {
			fmt.Fprintln(w, lines[0])
			lines = lines[1:]
		}
	}
}

func plannedCells(b recover.Batch, c recover.Planned) []string {
	expected, unit := "unknown", c.Unit
	if c.ExpectedSeconds != nil {
		expected = formatSeconds(*c.ExpectedSeconds)
	}
	if c.Generated {
		unit += " (generated)"
	}
	note, _, _ := strings.Cut(c.Why, ":") // p.Notes has the rest
	if c.Name == b.Slowest && len(b.Containers) > 1 && !b.Alone {
		note = strings.TrimSuffix("slowest, "+note, ", ")
	}
	return []string{"  " + c.Name, expected, unit, note}
}

func printCriticalPath(w io.Writer, p recover.Preview, width int) {
	if len(p.CriticalPath) == 0 {
		return
	}
	var steps []string
	for _, s := range p.CriticalPath {
		steps = append(steps, s.Name+" "+formatSeconds(s.Seconds))
	}
	fmt.Fprintln(w)
	path := fmt.Sprintf("Critical path (%s): %s", formatSeconds(p.ExpectedSeconds), strings.Join(steps, ", then "))
	fmt.Fprint(w, fold(path, "", width))
}

// summarizePlan says how many containers would be started, and how long that
// takes.
func summarizePlan(p recover.Preview, total int) string {
	summary := "1 container"
	if total != 1 {
		summary = fmt.Sprintf("%d containers", total)
	}
	if p.Unknown == total {
		return summary + "; the time is unknown, because none of them was recovered before"
	}
	summary += ", in about " + formatSeconds(p.ExpectedSeconds)
	switch {
	case p.Unknown == 1:
		summary += ", without one that was never recovered before"
	case p.Unknown > 1:
		summary += fmt.Sprintf(", without %d that were never recovered before", p.Unknown)
	}
	return summary
}

func batchHeading(b recover.Batch) string {
	heading, order := fmt.Sprintf("tier %d", b.Tier), "side by side"
	if b.Alone {
		heading, order = "alone", "one after the other"
	}
	heading += fmt.Sprintf(": %d", len(b.Containers))
	if len(b.Containers) > 1 {
		heading += " " + order
	}
	if b.Slowest == "" {
		return heading + ", time unknown"
	}
	heading += ", about " + formatSeconds(b.ExpectedSeconds)
	if b.Unknown > 0 {
		heading += fmt.Sprintf(" without the %d unknown", b.Unknown)
	}
	return heading
}

func formatSeconds(s float64) string { return timeline.Span(time.Duration(s * float64(time.Second))) }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"archy-recovery/internal/config"
	"archy-recovery/internal/podman"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

func newPlan(at *instanceFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be started if the machine died now",
		Long: `Show what would be started if the machine died now, tier by tier: the containers
that should be running, without those that are user-stopped or quarantined. Each
with the median of the time that its last starts by recovery took, and the
critical path: what the end of recovery would wait for. Nothing is changed.

Without a daemon it is made from the files that the daemon left, from the
configuration, and from what podman and systemd say.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			p, err := i.client().Plan(cmd.Context())
			if absent(err) {
				p, err = i.planFromFiles(cmd.Context(), err)
			}
			if err != nil {
				return i.explain(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p, true)
			}
			printPlan(cmd.OutOrStdout(), p, widthOf(cmd.OutOrStdout()))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// planFromFiles makes the plan without a daemon, which asked says why it cannot
// be asked. It takes no lock, starts no podman and writes nothing.
func (i instance) planFromFiles(ctx context.Context, asked error) (recover.Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conf, problems := config.Load(os.DirFS("/"), i.name())
	conf.Policy.Mode = kernelMode(slog.New(slog.DiscardHandler))
	var known recover.Known
	for _, p := range problems {
		known.Notes = append(known.Notes, "configuration: "+p.Error())
	}
	dir, err := i.files(conf, &known.Notes)
	if err != nil {
		return recover.Preview{}, errors.Join(asked, err)
	}
	set, err := dir.Snapshot()
	switch {
	case errors.Is(err, recover.ErrNone):
		return recover.Preview{}, asked // it never ran, or elsewhere
	case err != nil:
		return recover.Preview{}, err
	}
	known.Set = set.Containers
	known.Notes = append(known.Notes, fmt.Sprintf("no daemon answers: this is from its files in %s, as of %s", dataDirectory(conf, i), savedAt(set)))
	if !dir.Running() {
		known.Notes = append(known.Notes, "the last run ended in order, so that a crash of the machine would not be noticed before the daemon is started again: systemctl start "+i.unit())
	}
	if known.UserStopped, err = dir.UserStopped(); err != nil {
		known.UserStoppedLost = true
		known.Notes = append(known.Notes, err.Error())
	}
	if known.Quarantine, err = dir.Quarantine(); err != nil {
		known.Notes = append(known.Notes, err.Error())
	}
	if known.History, err = dir.Reports(); err != nil {
		known.Notes = append(known.Notes, err.Error())
	}
	if err := i.becomeOwner(); err != nil {
		known.Notes = append(known.Notes, err.Error())
	}
	manager := i.manager()
	defer manager.Close()
	asleep := func(context.Context) error {
		return errors.New("podman.socket is not active, and is not started for a question")
	}
	return survey.Host{Podman: podman.New(i.podmanSocket(), asleep), Systemd: manager}.Preview(ctx, known, conf.Policy), nil
}

// printPlan is for people: a heading a batch, and one table for all.
func printPlan(w io.Writer, p recover.Preview, width int) {
	total := 0
	t := table{columns: []column{{head: "  CONTAINER", least: 14}, {head: "EXPECTED", right: true}, {head: "UNIT", least: 8, drop: 1}, {head: "NOTE", least: 10}}}
	for _, b := range p.Batches {
		for _, c := range b.Containers {
			total++
			expected, unit := "unknown", c.Unit
			if c.ExpectedSeconds != nil {
				expected = timeline.Span(seconds(*c.ExpectedSeconds))
			}
			if c.Generated {
				unit += " (generated)"
			}
			note, _, _ := strings.Cut(c.Why, ":") // the rest stands in the notes
			if c.Name == b.Slowest && len(b.Containers) > 1 && !b.Alone {
				note = strings.TrimSuffix("slowest, "+note, ", ")
			}
			t.add("  "+c.Name, expected, unit, note)
		}
	}
	if total == 0 {
		fmt.Fprintln(w, "If the machine died now, nothing would be started.")
	} else {
		fmt.Fprint(w, fold("If the machine died now, this would be started: "+planInBrief(p, total), "", width))
		fmt.Fprintln(w)
		lines := t.lines(width)
		fmt.Fprintln(w, lines[0])
		lines = lines[1:]
		for _, b := range p.Batches {
			fmt.Fprintln(w, cutMaybe(batchLine(b), width))
			for range b.Containers {
				fmt.Fprintln(w, lines[0])
				lines = lines[1:]
			}
		}
		if len(p.CriticalPath) > 0 {
			var steps []string
			for _, s := range p.CriticalPath {
				steps = append(steps, s.Name+" "+timeline.Span(seconds(s.Seconds)))
			}
			fmt.Fprintln(w)
			fmt.Fprint(w, fold(fmt.Sprintf("Critical path (%s): %s", timeline.Span(seconds(p.ExpectedSeconds)), strings.Join(steps, ", then ")), "", width))
		}
	}
	if len(p.NotStarted) > 0 {
		fmt.Fprintln(w, "\nNot started:")
		t := table{columns: []column{{head: "  CONTAINER", least: 14}, {head: "STATE"}, {head: "WHY", least: 12}}}
		for _, c := range p.NotStarted {
			t.add("  "+c.Name, string(c.State), c.Why)
		}
		t.print(w, width)
	}
	if len(p.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range p.Notes {
		fmt.Fprint(w, fold("Note: "+note, "", width))
	}
}

func planInBrief(p recover.Preview, total int) string {
	brief := "1 container"
	if total != 1 {
		brief = fmt.Sprintf("%d containers", total)
	}
	switch {
	case p.Unknown == total:
		return brief + "; how long that takes is not known, since none of them was recovered before"
	case p.Unknown == 1:
		return fmt.Sprintf("%s, in about %s, without one that was never recovered before", brief, timeline.Span(seconds(p.ExpectedSeconds)))
	case p.Unknown > 0:
		return fmt.Sprintf("%s, in about %s, without %d that were never recovered before", brief, timeline.Span(seconds(p.ExpectedSeconds)), p.Unknown)
	}
	return fmt.Sprintf("%s, in about %s", brief, timeline.Span(seconds(p.ExpectedSeconds)))
}

// batchLine is a batch's heading.
func batchLine(b recover.Batch) string {
	head, how := fmt.Sprintf("tier %d", b.Tier), "side by side"
	if b.Alone {
		head, how = "alone", "one after the other"
	}
	head += fmt.Sprintf(": %d", len(b.Containers))
	if len(b.Containers) > 1 {
		head += " " + how
	}
	if b.Slowest == "" {
		return head + ", time unknown"
	}
	head += ", about " + timeline.Span(seconds(b.ExpectedSeconds))
	if b.Unknown > 0 {
		head += fmt.Sprintf(" without the %d unknown", b.Unknown)
	}
	return head
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// cutMaybe cuts to a width, where there is one.
func cutMaybe(text string, width int) string {
	if width > 0 {
		return cutTo(text, width)
	}
	return text
}

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"archy-recovery/internal/journal"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

// An endedBoot is a boot, how it ended, and the recovery that followed.
type endedBoot struct {
	journal.Boot
	Recovery *followedBy `json:"recovery,omitempty"`
}

// A followedBy is a recovery in brief; report ID has it all.
type followedBy struct {
	ID          int     `json:"id"`
	BootID      string  `json:"bootId"`
	TookSeconds float64 `json:"tookSeconds"`
	Summary     string  `json:"summary"`

	text string
}

func newBoots(at *instanceFlags) *cobra.Command {
	var asJSON bool
	var lines int
	cmd := &cobra.Command{
		Use:   "boots",
		Short: "List the last boots, how each ended, and the recovery that followed",
		Long: `List the last boots, as journalctl --list-boots does, how each ended, and the
recovery that followed it, for archy-recovery report. It reads the journal and the
history itself and needs no daemon; one must be root or in the group
systemd-journal to see all of it.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 1 {
				return usageError(cmd, fmt.Errorf("--lines=%d is not at least 1", lines))
			}
			i, err := at.pick()
			if err != nil {
				return err
			}
			boots, err := journal.NewReader(i.unit(), os.Getuid()).Boots(cmd.Context(), lines)
			if err != nil && os.Getuid() != 0 {
				return fmt.Errorf("%w (one must be root or in the group systemd-journal)", err)
			}
			if err != nil {
				return err
			}
			ended := matchBoots(boots, i.historyIfAny(cmd.Context()))
			if asJSON {
				return printJSON(cmd.OutOrStdout(), ended, true)
			}
			printBoots(cmd.OutOrStdout(), ended, widthOf(cmd.OutOrStdout()))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "how many of the last boots")
	return cmd
}

// historyIfAny is the history, from its files if they can be read: a list of
// boots need not start a daemon.
func (i instance) historyIfAny(ctx context.Context) []recover.Report {
	if reports := i.historyFiles(); len(reports) > 0 {
		return reports
	}
	reports, _ := i.history(ctx)
	return reports
}

// matchBoots finds the recovery that followed each boot: the one whose verdict
// is about a run in it, made in another boot; after a clean stop, which leaves
// nothing to point at, the first one in the boot after it.
func matchBoots(boots []journal.Boot, reports []recover.Report) []endedBoot {
	ended := make([]endedBoot, 0, len(boots))
	for n, b := range boots {
		next := ""
		if n+1 < len(boots) {
			next = boots[n+1].BootID
		}
		e := endedBoot{Boot: b}
		for _, r := range reports {
			about := r.Verdict.Previous != nil && r.Verdict.Previous.BootID == b.BootID && r.BootID != b.BootID
			clean := r.Verdict.Previous == nil && next != "" && r.BootID == next
			if about || clean {
				e.Recovery = inBrief(r)
				break
			}
		}
		ended = append(ended, e)
	}
	return ended
}

func inBrief(r recover.Report) *followedBy {
	f := &followedBy{ID: r.ID, BootID: r.BootID, Summary: r.Summary(), text: strconv.Itoa(r.ID) + ": " + counts(r)}
	if !r.Finished.IsZero() {
		took := r.Finished.Sub(r.Started)
		f.TookSeconds = took.Seconds()
		f.text += " in " + timeline.Span(took)
	}
	return f
}

func printBoots(w io.Writer, boots []endedBoot, width int) {
	t := table{columns: []column{{head: "IDX", right: true}, {head: "BOOT ID", least: 9}, {head: "FIRST ENTRY", drop: 2}, {head: "LAST ENTRY"}, {head: "ENDED"},
		{head: "RECOVERY", least: 10}, {head: "EVIDENCE", least: 10, drop: 1}}}
	for _, b := range boots {
		ended, recovery, evidence := string(b.Cause), "-", ""
		if b.Index == 0 {
			ended = "running"
		}
		if b.Recovery != nil {
			recovery = b.Recovery.text
		}
		switch n := len(b.Evidence); {
		case b.Cause == recover.CausePowerLoss: // what the last entry says has nothing to do with it
			evidence = "the journal just stops"
		case n > 0:
			evidence = b.Evidence[n-1].Message
		}
		t.add(strconv.Itoa(b.Index), b.BootID, b.First.Format(time.DateTime), b.Last.Format(time.DateTime), ended, recovery, evidence)
	}
	t.print(w, width)
}

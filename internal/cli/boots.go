package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/journal"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"

	"github.com/spf13/cobra"
)

// An endedBoot is a boot, how it ended, and the recovery that followed.
type endedBoot struct {
	control.EndedBoot

	text string // the recovery in brief, for the table
}

func newBoots(f *globalFlags) *cobra.Command {
	var lines int
	cmd := &cobra.Command{
		Use:   "boots",
		Short: "List the last boots, how each ended, and the recovery that followed",
		Long: `List the last boots, as journalctl --list-boots does, how each ended, and the
recovery that followed it, for archy-recovery report. A boot that crashed and
that the journal has lost, as one in memory does, is listed from the history.
This command reads the journal and the history itself and needs no daemon.
Only root and the group systemd-journal see all of the journal. If the journal
cannot be read, the daemon is asked, which lists the last ten boots.`,
		Args: noArguments,
		RunE: f.onInstance(func(r request) error {
			if lines < 1 {
				return usageError(r.cmd, fmt.Errorf("--lines=%d is less than 1", lines))
			}
			boots, err := askBoots(r, lines)
			if err != nil {
				return err
			}
			return show(r, boots, printBoots)
		}),
	}
	f.addJSON(cmd, "print JSON")
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "how many of the last boots")
	return cmd
}

func askBoots(r request, lines int) ([]endedBoot, error) {
	boots, err := journal.NewReader(r.Unit(), os.Getuid()).Boots(r.ctx(), lines)
	if err != nil && os.Getuid() != 0 {
		if asked, clientErr := r.client().Boots(r.ctx()); clientErr == nil {
			return bootsOfDaemon(asked.Boots, lines), nil
		}
		return nil, fmt.Errorf("%w. Use root, or join the group systemd-journal", err)
	}
	if err != nil {
		return nil, err
	}
	reports := r.reportsOnDisk() // first, because a list of boots need not start a daemon
	if len(reports) == 0 {
		reports, _ = r.reports(r.ctx())
	}
	return matchBoots(recover.WithLostBoots(boots, reports, lines), reports), nil
}

// bootsOfDaemon are the last boots of those that the daemon lists.
func bootsOfDaemon(listed []control.EndedBoot, lines int) (boots []endedBoot) {
	for _, b := range listed[max(0, len(listed)-lines):] {
		e := endedBoot{EndedBoot: b}
		if r := b.Recovery; r != nil {
			e.text = strconv.Itoa(r.ID) + ": " + r.Summary
		}
		boots = append(boots, e)
	}
	return boots
}

// matchBoots adds to each boot the recovery that followed it.
func matchBoots(boots []recover.Boot, reports []recover.Report) []endedBoot {
	ended := make([]endedBoot, 0, len(boots))
	after := recover.RecoveriesAfter(boots, reports)
	for i, b := range control.EndedBoots(boots, reports) {
		e := endedBoot{EndedBoot: b}
		if r := after[i]; r != nil {
			e.text = strconv.Itoa(r.ID) + ": " + countByResult(*r)
			if !r.Finished.IsZero() {
				e.text += " in " + timeline.Span(r.Finished.Sub(r.Started))
			}
		}
		ended = append(ended, e)
	}
	return ended
}

func printBoots(w io.Writer, boots []endedBoot, width int) {
	t := table{columns: []column{
		{head: "IDX", right: true},
		{head: "BOOT ID", least: 9},
		{head: "FIRST ENTRY", drop: 2},
		{head: "LAST ENTRY"},
		{head: "ENDED"},
		{head: "RECOVERY", least: 10},
		{head: "EVIDENCE", least: 10, drop: 1},
	}}
	for _, b := range boots {
		ended, recovery, evidence := string(b.Cause), "-", ""
		if b.Index == 0 && !b.NotInJournal {
			ended = "running"
		}
		if b.Recovery != nil {
			recovery = b.text
		}
		switch n := len(b.Evidence); {
		case b.Cause == recover.CausePowerLoss: // the last entry does not show it
			evidence = "the journal just stops"
		case !b.LastAlive.IsZero():
			evidence = recover.AliveUntil(b.LastAlive)
		case n > 0:
			evidence = b.Evidence[n-1].Message
		}
		index := strconv.Itoa(b.Index)
		if b.NotInJournal {
			index = "-"
		}
		t.add(index, b.BootID, dateTime(b.First), dateTime(b.Last), ended, recovery, evidence)
	}
	t.printTo(w, width)
}

// dateTime is a time for the table, "-" if it is not known.
func dateTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}

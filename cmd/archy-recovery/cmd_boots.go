package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"archy-recovery/internal/journal"

	"github.com/spf13/cobra"
)

func newBoots(at *instanceFlags) *cobra.Command {
	var asJSON bool
	var lines int
	cmd := &cobra.Command{
		Use:   "boots",
		Short: "List the last boots and how each ended, from the journal",
		Long: `List the last boots, as journalctl --list-boots does, and how each ended. It
reads the journal itself and needs no daemon; one must be root or in the group
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
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), boots, true)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "IDX\tBOOT ID\tFIRST ENTRY\tLAST ENTRY\tENDED\tEVIDENCE")
			for _, b := range boots {
				ended, evidence := string(b.Cause), ""
				if b.Index == 0 {
					ended = "running"
				}
				if n := len(b.Evidence); n > 0 {
					evidence = b.Evidence[n-1].Message
				}
				fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", b.Index, b.BootID,
					b.First.Format(time.DateTime), b.Last.Format(time.DateTime), ended, evidence)
			}
			return t.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "how many of the last boots")
	return cmd
}

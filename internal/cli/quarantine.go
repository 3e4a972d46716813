package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"archy-recovery/internal/control"

	"github.com/spf13/cobra"
)

func newQuarantine(at *instanceFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Containers that were being started when the host crashed",
		Long: `A container that is being started when the host crashes is a suspect: from then
on it is started last and alone, until it has lived through its soak. One that
takes the host down while it is alone is quarantined: it is not started again
before it is released, or its image or unit is changed.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List suspects and quarantined containers",
		Args:  exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			q, err := i.client().Quarantine(cmd.Context())
			if err != nil {
				return i.explain(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), q, true)
			}
			return printQuarantine(cmd, q)
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	release := &cobra.Command{
		Use:               "release NAME",
		Short:             "Let a container be started again, from the next recovery on",
		Args:              exactly(1, "the name of a container"),
		ValidArgsFunction: completing(at, suspectNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			if _, err := i.client().Release(cmd.Context(), args[0]); err != nil {
				return i.explain(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is released; it is not started now\n", args[0])
			return nil
		},
	}
	cmd.AddCommand(list, release)
	return cmd
}

func printQuarantine(cmd *cobra.Command, q control.Quarantine) error {
	if len(q.Suspects) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "none")
		return nil
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONTAINER\tSTATE\tSTRIKES\tSINCE\tCRASHED BOOT")
	for _, s := range q.Suspects {
		state := "suspect"
		if s.Quarantined {
			state = "quarantined"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", s.Name, state, s.Strikes, s.Since.Local().Format(time.DateTime), s.BootID)
	}
	return t.Flush()
}

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newSnapshot(at *instanceFlags) *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Bring the saved running set up to date now (what the timer does)",
		Args:  exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			s, err := i.client().Snapshot(cmd.Context())
			switch {
			case err != nil:
				return i.explain(err)
			case asJSON:
				return printJSON(cmd.OutOrStdout(), s, true)
			case !quiet:
				fmt.Fprintf(cmd.OutOrStdout(), "%d containers, saved %s\n", len(s.Containers), savedAt(s))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the set as JSON")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing but errors")
	return cmd
}

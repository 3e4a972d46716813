package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(f *globalFlags, version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version,
					"go":      runtime.Version(),
					"arch":    runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "archy-recovery %s (%s, %s)\n",
				version, runtime.Version(), runtime.GOARCH)
			return err
		},
	}
	f.addJSON(cmd, "print JSON")
	return cmd
}

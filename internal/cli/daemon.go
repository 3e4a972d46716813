package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newDaemon(f *globalFlags, run func(context.Context, Instance) error) *cobra.Command {
	return &cobra.Command{
		Use:   "daemon",
		Short: "Recover, then keep the snapshot up to date (what the service unit runs)",
		Args:  noArguments,
		RunE:  f.onInstance(func(r request) error { return run(r.ctx(), r.Instance) }),
	}
}

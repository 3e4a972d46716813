package cli

import (
	"fmt"
	"path/filepath"

	"archy-recovery/internal/storage"

	"github.com/spf13/cobra"
)

func newStorage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Work in podman's storage (what the storage units do)",
		Long: `Work in podman's storage, below its graph root. Units run these commands for the
daemon, which may not look there.`,
		Args: noArguments,
		RunE: showHelp,
	}
	cmd.AddCommand(newStorageSync())
	return cmd
}

func newStorageSync() *cobra.Command {
	return &cobra.Command{
		Use:   "sync DIRECTORY",
		Short: "Sync the file system of podman's storage",
		Long: `Write to disk what the kernel holds in memory of the file system on which
DIRECTORY, podman's graph root, lies. A power cut then damages no image and no
container that is there already. It syncs again while images come.`,
		Example: `  archy-recovery storage sync /var/lib/containers/storage`,
		Args:    oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			return storage.Sync(cmd.Context(), args[0])
		},
	}
}

// oneDirectory accepts one absolute path.
func oneDirectory(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && filepath.IsAbs(args[0]) {
		return nil
	}
	return usageError(cmd, fmt.Errorf("%s needs the absolute path of podman's graph root", cmd.Name()))
}

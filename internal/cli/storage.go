package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"archy-recovery/internal/answerfile"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/storage"

	"github.com/spf13/cobra"
)

func newStorage(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Work in podman's storage (what the storage units do)",
		Long: `Work in podman's storage, below its graph root. Units run these commands for the
daemon, which may not look there.`,
		Args: noArguments,
		RunE: showHelp,
	}
	cmd.AddCommand(newStorageSync(), newStorageCheck(f))
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

func newStorageCheck(f *globalFlags) *cobra.Command {
	var file string
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "check DIRECTORY",
		Short: "Look for what a crash damaged in podman's storage",
		Long: `Look for what a crash of the host damaged in podman's storage at DIRECTORY, its
graph root. It only reads. It compares the lists of layers, images and containers
with one another and with the files, and the files of the newest layers with what
they were made from. What it may not read, or has no time for, is unknown. The unit
that runs beside a recovery takes 2 s at most.`,
		Example: `  archy-recovery storage check ~/.local/share/containers/storage`,
		Args:    oneDirectory,
		RunE: f.onInstance(func(r request) error {
			ctx := r.ctx()
			if within > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, within)
				defer cancel()
			}
			found, err := storage.Check(ctx, r.args[0])
			switch {
			case err != nil:
				return err
			case file != "":
				return answerfile.Write(file, found)
			}
			return show(r, found, printStorageCheck)
		}),
	}
	f.addJSON(cmd, "print JSON")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write JSON to this `FILE`")
	cmd.Flags().DurationVar(&within, "within", 0, "end after this long, such as 2s (0: look at all)")
	return cmd
}

func printStorageCheck(w io.Writer, c recover.StorageCheck, _ int) {
	for _, d := range c.Damages {
		fmt.Fprintf(w, "%s %s\n", d.Path, d.What)
		for _, i := range d.Images {
			fmt.Fprintf(w, "  image %.12s %s\n", i.ID, strings.Join(i.Names, " "))
		}
		for _, s := range d.Containers {
			what := "container"
			if d.Own != nil && d.Own.ID == s.ID {
				what = "own layer of container"
			}
			fmt.Fprintf(w, "  %s %.12s %s\n", what, s.ID, strings.Join(s.Names, " "))
		}
	}
	for _, text := range c.Unknown {
		fmt.Fprintf(w, "unknown: %s\n", text)
	}
	if len(c.Damages) == 0 {
		fmt.Fprint(w, "no damage found; ")
	}
	fmt.Fprintf(w, "%d layers, the files of the newest %d compared\n", c.Layers, c.Examined)
}

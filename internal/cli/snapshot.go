package cli

import (
	"fmt"
	"io"
	"time"

	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newSnapshot(f *globalFlags) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Bring the snapshot up to date now (what the timer does)",
		Args:  noArguments,
		RunE: f.onInstance(func(r request) error {
			return answer(r, takeSnapshot, func(w io.Writer, s recover.Snapshot, _ int) {
				if !quiet {
					fmt.Fprintf(w, "%d containers, saved %s\n", len(s.Containers), savedAt(s))
				}
			})
		}),
	}
	f.addJSON(cmd, "print the snapshot as JSON")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only errors")
	return cmd
}

func takeSnapshot(r request) (recover.Snapshot, error) { return r.client().Snapshot(r.ctx()) }

// savedAt is when a snapshot was saved, in local time.
func savedAt(s recover.Snapshot) string {
	if s.Timestamp == 0 {
		return "never"
	}
	return time.Unix(s.Timestamp, 0).Format(time.DateTime)
}

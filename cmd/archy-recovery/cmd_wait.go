package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"archy-recovery/internal/control"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newWait(at *instanceFlags) *cobra.Command {
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until recovery is complete",
		Long: `Wait until recovery is complete. On a terminal progress is shown meanwhile.

Exit codes: 0 complete, 3 complete with failures, 4 time-out, 5 no daemon.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout < 0 {
				return usageError(cmd, fmt.Errorf("--timeout=%s is negative", timeout))
			}
			i, err := at.pick()
			if err != nil {
				return err
			}
			st, err := waitComplete(cmd.Context(), i, timeout, showProgress())
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), st, true); err != nil {
					return err
				}
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), "recovery "+st.Progress)
			}
			if len(st.Failed()) > 0 {
				return exitCode{code: exitFailures}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this long, such as 90s or 5m (0: never)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the final status as JSON")
	return cmd
}

// waitComplete follows the daemon until its recovery is complete. A daemon
// that is restarted meanwhile is followed again: its socket stays.
func waitComplete(ctx context.Context, i instance, timeout time.Duration, show func(string)) (control.Status, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var last control.Status
	for {
		err := i.client().Follow(ctx, func(st control.Status) bool {
			last = st
			show(st.Progress)
			return !st.RecoveryComplete
		})
		show("")
		switch {
		case err == nil:
			return last, nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return last, exitCode{exitTimeout, fmt.Errorf("recovery was not complete within %s: %s", timeout, last.Progress)}
		case ctx.Err() != nil:
			return last, exitCode{exitError, errors.New("interrupted")}
		}
		if last.State == "" { // it never answered
			return last, i.explain(err)
		}
		last = control.Status{}
	}
}

// showProgress shows one line that is written over and over on a terminal, and
// nothing elsewhere.
func showProgress() func(string) {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err != nil {
		return func(string) {}
	}
	shown := 0
	return func(line string) {
		fmt.Fprintf(os.Stderr, "\r%s%s", line, strings.Repeat(" ", max(0, shown-len(line))))
		if shown = len(line); line == "" {
			fmt.Fprint(os.Stderr, "\r")
		}
	}
}

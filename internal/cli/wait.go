package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newWait(at *instanceFlags) *cobra.Command {
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until recovery is complete",
		Long: `Wait until recovery is complete, and print one line about it. On a terminal its
progress is shown meanwhile, on standard error: a line a tier with the time it has
taken, the time that it took in earlier recoveries, and who is under way. NO_COLOR
is respected, and with TERM=dumb nothing is shown.

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
			st, err := waitComplete(cmd.Context(), i, timeout, newScreen(cmd.ErrOrStderr()))
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
func waitComplete(ctx context.Context, i instance, timeout time.Duration, shown *screen) (control.Status, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var expect recover.Expectations
	if shown != nil {
		if answer, err := i.client().Recoveries(ctx); err == nil {
			expect = recover.Expect(answer.Recoveries)
		}
	}
	var last control.Status
	draw := func() {
		if shown == nil || last.State == "" {
			return
		}
		may := expect
		if width, _ := shown.size(); width < 60 {
			may = recover.Expectations{} // the names need the room
		}
		shown.draw(progressLines(last, may, time.Now()))
	}
	for {
		first := true
		err := follow(ctx, i.client(), func(st control.Status) bool {
			last = st
			if !st.RecoveryComplete || !first { // what is complete already needs no display
				draw()
			}
			first = false
			return !st.RecoveryComplete
		}, draw)
		switch {
		case err == nil:
			return last, nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return last, exitCode{exitTimeout, fmt.Errorf("recovery was not complete within %s: %s; to see what it waits for: archy-recovery%s status", timeout, last.Progress, i.flag())}
		case ctx.Err() != nil:
			return last, exitCode{exitError, errors.New("interrupted")}
		}
		if last.State == "" { // it never answered
			return last, i.explain(err)
		}
		last = control.Status{}
	}
}

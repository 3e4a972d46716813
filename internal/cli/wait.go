package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newWait(f *globalFlags) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until recovery is complete",
		Long: `Wait until recovery is complete, and print one line about it. If standard error is
a terminal, it shows the progress: for each tier the time it has taken, the time it
took in earlier recoveries, and the containers that are being started. NO_COLOR
turns colours off, and TERM=dumb turns the progress off.

Each container that should run and was not recovered has a line on standard error,
with the reason: it failed, fell (it was up and ended within its soak), is restarting,
is missing, is quarantined, or was held back. That is judged when the command ends, by
all that is known then: a container can fall after recovery is complete.

While the host boots, the command also waits for the socket, if that is enabled.

Exit codes: 0 all recovered, 3 complete, but not all recovered, 4 time-out,
5 no daemon.`,
		Args: noArguments,
		RunE: f.onInstance(func(r request) error {
			if timeout < 0 {
				return usageError(r.cmd, fmt.Errorf("--timeout=%s is negative", timeout))
			}
			st, err := r.waitUntilComplete(r.ctx(), timeout, newScreen(r.cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if err := show(r, st, printProgress); err != nil {
				return err
			}
			lost := st.NotRecovered()
			for _, row := range lost {
				fmt.Fprintln(r.cmd.ErrOrStderr(), lostLine(row))
			}
			if len(lost) > 0 {
				return ExitError{Code: ExitNotRecovered}
			}
			return nil
		}),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this long, such as 90s or 5m (0: never)")
	f.addJSON(cmd, "print the final status as JSON")
	return cmd
}

func printProgress(w io.Writer, st control.Status, _ int) { fmt.Fprintln(w, "recovery "+st.Progress) }

// waitUntilComplete follows the daemon until its recovery is complete, and shows
// the progress unless terminal is nil. A daemon that restarts meanwhile is followed
// again, because its socket stays.
func (i Instance) waitUntilComplete(
	ctx context.Context, timeout time.Duration, terminal *screen,
) (control.Status, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	switch err := i.awaitSocket(ctx); {
	case errors.Is(err, context.DeadlineExceeded):
		return control.Status{}, ExitError{ExitTimeout, fmt.Errorf(
			"the socket was not there within %s: see systemctl status %s", timeout, i.socketUnit())}
	case errors.Is(err, context.Canceled):
		return control.Status{}, errInterrupted
	case err != nil:
		return control.Status{}, err
	}
	display := newProgressDisplay(ctx, i.client(), terminal)
	for {
		var last control.Status
		err := followWithTicks(ctx, i.client(), func(st control.Status) bool {
			first := last.State == ""
			last = st
			if !st.RecoveryComplete || !first { // a recovery that was complete before needs no display
				display.draw(last)
			}
			return !st.RecoveryComplete
		}, func() { display.draw(last) })
		switch {
		case err == nil:
			return last, nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return last, ExitError{ExitTimeout, fmt.Errorf(
				"recovery was not complete within %s: %s; to see what it waits for: archy-recovery%s status",
				timeout, last.Progress, i.flag())}
		case ctx.Err() != nil:
			return last, errInterrupted
		case last.State == "": // it never answered
			return last, i.explain(err)
		}
	}
}

var errInterrupted = ExitError{ExitFailure, errors.New("interrupted")}

// A progressDisplay shows the progress on a screen, if there is one.
type progressDisplay struct {
	screen       *screen
	expectations recover.Expectations
}

// newProgressDisplay asks the daemon how long earlier recoveries took.
func newProgressDisplay(ctx context.Context, client *control.Client, terminal *screen) progressDisplay {
	d := progressDisplay{screen: terminal}
	if terminal != nil {
		if answer, err := client.Recoveries(ctx); err == nil {
			d.expectations = recover.Expect(answer.Recoveries)
		}
	}
	return d
}

// draw shows a status. Nothing is shown before the first one.
func (d progressDisplay) draw(st control.Status) {
	if d.screen == nil || st.State == "" {
		return
	}
	expectations := d.expectations
	if width, _ := d.screen.size(); width < 60 { // leave the room for the names
		expectations = recover.Expectations{}
	}
	d.screen.draw(progressLines(st, expectations, time.Now()))
}

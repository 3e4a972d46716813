package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"archy-recovery/internal/config"
	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newRetry(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry [NAME]",
		Short: "Try to start again now what recovery could not bring up",
		Long: `Try to start the container NAME again now, or without a name each container that
recovery could not bring up and that it tries again by itself. A hold does not keep
them. A container on the user-stopped list or in quarantine is refused. "status" shows
what becomes of it.`,
		Args:              atMostOneContainer,
		ValidArgsFunction: completing(f, retryNames),
		RunE: f.onInstance(func(r request) error {
			return answer(r, retry, printRetried)
		}),
	}
	f.addJSON(cmd, "print JSON")
	return cmd
}

// atMostOneContainer accepts the name of one container, or none.
func atMostOneContainer(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError(cmd, fmt.Errorf("%s takes one container at most", cmd.Name()))
	}
	for _, name := range args {
		if err := recover.CheckName(name); err != nil {
			return usageError(cmd, err)
		}
	}
	return nil
}

func retry(r request) (control.Retried, error) {
	name := ""
	if len(r.args) > 0 {
		name = r.args[0]
	}
	return r.client().Retry(r.ctx(), name)
}

func printRetried(w io.Writer, retried control.Retried, _ int) {
	if len(retried.Containers) == 0 {
		fmt.Fprintln(w, "nothing is to be tried again")
		return
	}
	fmt.Fprintf(w, "tried again now: %s\n", strings.Join(retried.Containers, " "))
}

// retryNames are the names that a shell offers.
func retryNames(ctx context.Context, i Instance) (names []string) {
	st, _ := i.client().Status(ctx)
	for _, row := range st.NotRecovered() {
		names = append(names, row.Name)
	}
	return names
}

// defaultHold is the time of a hold without a DURATION: one that was forgotten ends.
const defaultHold = time.Hour

func newHold(f *globalFlags) *cobra.Command {
	var end bool
	cmd := &cobra.Command{
		Use:   "hold [DURATION]",
		Short: "Pause what is started by itself after recovery, for maintenance",
		Long: `Pause what the service starts by itself after recovery: containers that it tries
again, and quarantined ones whose parole comes. DURATION is a time span such as 30min
or 2h, a week at most; without it the pause lasts an hour. It ends by itself, with
--end, and with the boot. It holds neither recovery after a crash nor "retry".`,
		RunE: f.onInstance(func(r request) error {
			d, err := holdOf(r.cmd, r.args, end)
			if err != nil {
				return err
			}
			return answer(r, func(r request) (control.Hold, error) { return r.client().Hold(r.ctx(), d) }, printHold)
		}),
	}
	f.addJSON(cmd, "print JSON")
	cmd.Flags().BoolVar(&end, "end", false, "end the pause now")
	return cmd
}

// holdOf is the time that a hold is to last, 0 for its end.
func holdOf(cmd *cobra.Command, args []string, end bool) (time.Duration, error) {
	text := strings.Join(args, " ") // "1h 30min" is one time span, quoted or not
	switch {
	case end && text != "":
		return 0, usageError(cmd, fmt.Errorf("hold takes a time span or --end, and not both"))
	case end:
		return 0, nil
	case text == "":
		return defaultHold, nil
	}
	d, err := config.ParseTimeSpan(text)
	switch {
	case err != nil:
		return 0, usageError(cmd, err)
	case d < time.Second || d > 7*24*time.Hour:
		return 0, usageError(cmd, fmt.Errorf("%q is not between a second and a week", text))
	}
	return d, nil
}

func printHold(w io.Writer, hold control.Hold, _ int) {
	if hold.Until.IsZero() {
		fmt.Fprintln(w, "nothing is held")
		return
	}
	fmt.Fprintf(w, "held until %s\n", hold.Until.Local().Format(time.DateTime))
}

package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"archy-recovery/internal/control"

	"github.com/spf13/cobra"
)

func newQuarantine(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Manage the containers that were being started when the host crashed",
		Long: `A container that is being started when the host crashes becomes a suspect. It is
then started last and alone, until it has run for its soak. If the host crashes
while a suspect is started alone, the suspect is quarantined. It is not started
again until it is released, or its image or unit changes.`,
		Args: noArguments,
		RunE: showHelp,
	}
	cmd.AddCommand(newQuarantineList(f), newQuarantineRelease(f))
	return cmd
}

func newQuarantineList(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List suspects and quarantined containers",
		Args:  noArguments,
		RunE:  f.onInstance(func(r request) error { return answer(r, askQuarantine, printQuarantine) }),
	}
	f.addJSON(cmd, "print JSON")
	return cmd
}

func newQuarantineRelease(f *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "release NAME",
		Short:             "Let a container be started again, from the next recovery on",
		Args:              oneContainer,
		ValidArgsFunction: completing(f, suspectNames),
		RunE: f.onInstance(func(r request) error {
			name := r.args[0]
			if _, err := r.client().Release(r.ctx(), name); err != nil {
				return r.explain(err)
			}
			fmt.Fprintf(r.out(), "%s is released; it is not started now\n", name)
			return nil
		}),
	}
}

// oneContainer accepts the name of one container.
func oneContainer(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return usageError(cmd, fmt.Errorf("%s needs the name of one container", cmd.Name()))
}

func askQuarantine(r request) (control.Quarantine, error) { return r.client().Quarantine(r.ctx()) }

// suspectNames are the names that a shell offers.
func suspectNames(ctx context.Context, i Instance) (names []string) {
	q, _ := i.client().Quarantine(ctx)
	for _, s := range q.Suspects {
		names = append(names, s.Name)
	}
	return names
}

func printQuarantine(w io.Writer, q control.Quarantine, _ int) {
	if len(q.Suspects) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush() // Run reports what could not be written
	fmt.Fprintln(t, "CONTAINER\tSTATE\tSTRIKES\tSINCE\tCRASHED BOOT")
	for _, s := range q.Suspects {
		state := "suspect"
		if s.Quarantined {
			state = "quarantined"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", s.Name, state, s.Strikes, s.Since.Local().Format(time.DateTime), s.BootID)
	}
}

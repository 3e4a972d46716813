package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newQuarantine(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Manage the containers that were being started when the host crashed",
		Long: `A container that is being started when the host crashes becomes a suspect, after
the second crash or after one with evidence: a panic, a watchdog, or lack of
memory. Suspects are started last, in small groups. Only those stay suspects that
were in flight at each crash. The last one is quarantined. It is not started again
until it is released, its image or unit changes, or its parole begins (ParoleSec=
in archy-recovery.conf(5)). If the host crashes without it too, it is let go.`,
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
	if note := q.Book().Note(); note != "" {
		fmt.Fprintln(w, note+"\n")
	}
	if len(q.Suspects) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONTAINER\tSTATE\tSTRIKES\tSINCE\tNEXT TRY\tLIVED\tSUSPICION ENDS")
	for _, s := range q.Suspects {
		left := q.Book().SoaksLeft(s)
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%d of %d\t%s\n", s.Name, suspicionOf(s), s.Strikes,
			s.Since.Local().Format(time.DateTime), nextTryOf(s, q.RecoveryComplete), s.Lived, s.Lived+left,
			endOfSuspicion(s, left, q.RecoveryComplete))
	}
	t.Flush() //nolint:errcheck // Run reports what could not be written
	if len(q.Crashes) == 0 {
		return
	}
	fmt.Fprintln(w, "\nThis rests on these crashes of the host:")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NOTICED\tCAUSE\tEVIDENCE\tCRASHED BOOT\tSUSPECTS\tALSO IN FLIGHT")
	for _, c := range q.Crashes {
		suspects, others := partsOf(c, q.Suspects)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Noticed.Local().Format(time.DateTime), c.Cause, evidenceOf(c),
			c.BootID, suspects, others)
	}
	t.Flush() //nolint:errcheck // Run reports what could not be written
	fmt.Fprintln(w, "\nLIVED counts the boots with a soak that it has lived through since the last crash. Times hold if "+
		"the host lives until then.\nTo end it by hand: archy-recovery quarantine release NAME")
}

// partsOf are the suspects of the case that a crash belongs to, and what else was in
// flight at it, or had been started by something else.
func partsOf(c recover.Crash, suspects recover.Quarantine) (those, others string) {
	var is, not []string
	for _, name := range c.InFlight {
		if s, known := suspects.Find(name); known && s.Case == c.Case {
			is = append(is, name)
			continue
		}
		not = append(not, name)
	}
	for _, name := range c.Started {
		not = append(not, name+" (started by something else)")
	}
	return cmp.Or(strings.Join(is, " "), "none"), cmp.Or(strings.Join(not, " "), "nothing")
}

// evidenceOf says what shows that a crash was no power loss.
func evidenceOf(c recover.Crash) string {
	switch {
	case c.Named != "":
		return "the kernel names " + c.Named
	case c.Evidence():
		return "no power loss"
	}
	return "none: it may be power loss"
}

// endOfSuspicion says when it is no suspect any more, if it does not strike.
func endOfSuspicion(s recover.Suspect, soaksLeft int, complete bool) string {
	soaks := fmt.Sprintf("after %d more soaks", soaksLeft)
	if soaksLeft == 1 {
		soaks = "after one more soak"
	}
	switch {
	case s.Quarantined && s.NextTry.IsZero():
		return nextTryOf(s, complete)
	case s.Quarantined && soaksLeft > 1:
		return fmt.Sprintf("%s, from its next try on", soaks)
	case s.Quarantined:
		return "with its next try"
	case !s.Ends.IsZero():
		return soaks + ", or " + s.Ends.Local().Format(time.DateTime)
	}
	return soaks
}

// suspicionOf is what a suspect counts as.
func suspicionOf(s recover.Suspect) string {
	switch {
	case s.Quarantined:
		return "quarantined"
	case s.Noted:
		return "noted"
	}
	return "suspect"
}

// nextTryOf says when a suspect is started again. The dates count from READY.
func nextTryOf(s recover.Suspect, complete bool) string {
	switch {
	case !s.Quarantined:
		return "at the next recovery"
	case s.NextTry.IsZero() && !complete:
		return "known after READY"
	case s.NextTry.IsZero():
		return "when it is released"
	}
	return s.NextTry.Local().Format(time.DateTime)
}

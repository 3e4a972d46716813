package cli

import (
	"fmt"
	"io"
	"strings"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newRepair(f *globalFlags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "repair [NAME]",
		Short: "Show what mends what a crash damaged in podman's storage, and do it with --yes",
		Long: `Show what would mend the containers that are down since a crash of the host damaged
podman's storage, or only the container NAME. With --yes it is done, and they are
started. Removed are only containers that their unit makes anew at each start, also if
only podman's storage knows them, and damaged images that nothing else needs. Such an
image comes again from its archive (KeepImages=), or by the digest that ran from its
registry, which may take long. No volume is removed, nor a container that holds data:
for these the command says what you can do, and what would be lost. Running containers
of root's that a firewall has cut off from their networks are named, with the cure.`,
		Args:              atMostOneContainer,
		ValidArgsFunction: completing(f, retryNames),
		RunE: f.onInstance(func(r request) error {
			repairs, err := askRepairs(r, yes)
			if err != nil {
				return r.explain(err)
			}
			text := func(w io.Writer, p control.Repairs, _ int) { printRepairs(w, r, p, yes) }
			if err := show(r, repairs, text); err != nil {
				return err
			}
			for _, p := range repairs.Repairs {
				if yes && (p.Error != "" || p.Refused != "") {
					return ExitError{Code: ExitFailure}
				}
			}
			return nil
		}),
	}
	f.addJSON(cmd, "print JSON")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "make the repairs")
	return cmd
}

func askRepairs(r request, yes bool) (control.Repairs, error) {
	name := ""
	if len(r.args) > 0 {
		name = r.args[0]
	}
	if yes {
		return r.client().Repair(r.ctx(), name)
	}
	return r.client().Repairs(r.ctx(), name)
}

// repairWords say what a step does.
var repairWords = map[recover.RepairKind]string{
	recover.RepairRemoveContainer: "remove the container %.12s",
	recover.RepairReserveName:     "keep the name %s for it, so that nothing pulls another version meanwhile",
	recover.RepairRemoveImage:     "remove the image %.12s",
	recover.RepairPull:            "pull %s",
	recover.RepairLoad:            "load the image %.12s from its archive",
	recover.RepairTag:             "give it the name %s",
	recover.RepairStart:           "start %s",
}

func printRepairs(w io.Writer, r request, p control.Repairs, yes bool) {
	steps := 0
	for _, repair := range p.Repairs {
		fmt.Fprintf(w, "%s: %s\n", printable(repair.Container), printable(repair.Fault))
		if repair.Refused != "" {
			fmt.Fprintf(w, "  left to you: %s\n", printable(repair.Refused))
		}
		for _, step := range repair.Steps {
			steps++
			mark := "would "
			switch {
			case step.Done:
				mark = "done: "
			case yes:
				mark = "not done: "
			}
			fmt.Fprintf(w, "  %s%s\n", mark, printable(fmt.Sprintf(repairWords[step.Kind], step.Target)))
		}
		if repair.Error != "" {
			fmt.Fprintf(w, "  failed: %s\n", printable(repair.Error))
		}
	}
	for _, text := range p.Unknown {
		fmt.Fprintf(w, "not known: %s\n", printable(text))
	}
	switch {
	case len(p.Repairs) == 0:
		fmt.Fprintln(w, "nothing that is down is known to be damaged")
	case steps > 0 && !yes:
		fmt.Fprintf(w, "Nothing was changed. Do it with: archy-recovery%s repair --yes%s\n", r.flag(),
			strings.Join(append([]string{""}, r.args...), " "))
	}
}

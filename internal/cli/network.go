package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"archy-recovery/internal/answerfile"
	"archy-recovery/internal/firewall"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

func newNetwork(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Look at podman's networks (what a unit does)",
		Long: `Look at the networks of root's containers. A unit runs this for the daemon, which
may not look at the kernel's firewall.`,
		Args: noArguments,
		RunE: showHelp,
	}
	cmd.AddCommand(newNetworkCheck(f))
	return cmd
}

func newNetworkCheck(f *globalFlags) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether the rules of podman's networks are there",
		Long: `Look whether the kernel's firewall has the rules of the networks of root's running
containers. A firewall that is loaded anew drops them, and podman does not notice. It
changes nothing, and takes 2 s if something lacks. What cannot be told is unknown.
Only root may look.`,
		Args: noArguments,
		RunE: f.onInstance(func(r request) error {
			if os.Geteuid() != 0 {
				return errors.New("only root may look at the kernel's firewall. " +
					"The networks of a user's containers are in none of the host's")
			}
			found := firewall.Check(r.ctx(), firewall.NotesDirectory)
			if file != "" {
				return answerfile.Write(file, found)
			}
			return show(r, found, printNetworkCheck)
		}),
	}
	f.addJSON(cmd, "print JSON")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write JSON to this `FILE`")
	return cmd
}

func printNetworkCheck(w io.Writer, c recover.NetworkCheck, _ int) {
	for _, l := range c.Lost {
		what := "no rules of the network"
		if !l.Whole {
			what = "no rules of published ports"
		}
		fmt.Fprintf(w, "container %.12s, network %s: %s%s\n", printable(l.Container), printable(l.Network), what,
			printable(strings.Join(append([]string{""}, l.Ports...), " ")))
	}
	switch {
	case c.Unknown != "":
		fmt.Fprintf(w, "unknown: %s\n", printable(c.Unknown))
	case len(c.Lost) == 0:
		fmt.Fprintln(w, "all rules are there")
	default:
		fmt.Fprintln(w, recover.ReloadNetworks)
	}
}

package cli

import (
	"fmt"
	"io"
	"strings"

	"archy-recovery/internal/config"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

// An effectiveConfig is what config --json prints.
type effectiveConfig struct {
	Instance string           `json:"instance"`
	Mode     recover.Mode     `json:"mode,omitempty"` // of the kernel command line
	Settings []config.Setting `json:"settings"`
	Problems []string         `json:"problems"`
}

func newConfig(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the effective configuration, and the file and line each value comes from",
		Long: `Show the effective configuration of the instance, and the file and line that each
value comes from. The output is itself a configuration file. This command reads
the files as they are now and needs no daemon. A running daemon uses the files as
they were when it was started.

Exit codes: 0 success, 1 a file has a mistake: standard error names it, and the
default is used instead.`,
		Args: noArguments,
		RunE: f.onInstance(func(r request) error {
			conf := r.effectiveConfig()
			for _, problem := range conf.Problems {
				fmt.Fprintf(r.cmd.ErrOrStderr(), "archy-recovery: %s\n", problem)
			}
			err := show(r, conf, printConfig)
			if err == nil && len(conf.Problems) > 0 {
				return ExitError{Code: ExitFailure}
			}
			return err
		}),
	}
	f.addJSON(cmd, "print JSON")
	return cmd
}

func (i Instance) effectiveConfig() effectiveConfig {
	conf, problems := i.loadConfig()
	conf.DataDirectory = i.DataDirectory(conf)
	mode, _ := KernelMode() // the daemon logs the error
	e := effectiveConfig{Instance: i.Title(), Mode: mode, Settings: conf.Settings(), Problems: []string{}}
	for _, p := range problems {
		e.Problems = append(e.Problems, p.Error())
	}
	return e
}

// printConfig writes a configuration file. A comment above a value says where it
// was set. The defaults stand at the end of their section.
func printConfig(w io.Writer, e effectiveConfig, _ int) {
	if e.Mode != recover.ModeNormal {
		fmt.Fprintf(w, "# The kernel command line says %s=%s.\n\n", recover.CommandLineKey, e.Mode)
	}
	for _, section := range []string{"Recovery", "Tiers"} {
		fmt.Fprintf(w, "[%s]\n", section)
		var defaults []config.Setting
		for _, s := range e.Settings {
			if s.Section != section {
				continue
			}
			if len(s.From) == 0 {
				defaults = append(defaults, s)
				continue
			}
			fmt.Fprintf(w, "# %s\n%s=%s\n", formatOrigins(s.From), s.Key, s.Value)
		}
		if len(defaults) > 0 {
			fmt.Fprintln(w, "# defaults")
		}
		for _, s := range defaults {
			fmt.Fprintf(w, "%s=%s\n", s.Key, s.Value)
		}
		if section == "Recovery" {
			fmt.Fprintln(w)
		}
	}
}

// formatOrigins names each file once, with all its lines.
func formatOrigins(from []config.Origin) string {
	var b strings.Builder
	for n, o := range from {
		switch {
		case n > 0 && from[n-1].File == o.File:
			fmt.Fprintf(&b, ",%d", o.Line)
		case n > 0:
			b.WriteString(" " + o.String())
		default:
			b.WriteString(o.String())
		}
	}
	return b.String()
}

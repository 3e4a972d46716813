package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"archy-recovery/internal/config"
	"archy-recovery/internal/recover"

	"github.com/spf13/cobra"
)

// An effectiveConfig answers config --json.
type effectiveConfig struct {
	Instance string           `json:"instance"`
	Mode     recover.Mode     `json:"mode,omitempty"` // of the kernel command line
	Settings []config.Setting `json:"settings"`
	Problems []string         `json:"problems"`
}

func newConfig(at *instanceFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the effective configuration, and the file and line each value comes from",
		Long: `Show the effective configuration of the instance, and the file and line that each
value comes from. What is printed is itself a configuration file. It is read from
the files as they are now and needs no daemon; a daemon that runs took them over
when it was started.

Exit codes: 0 all is well, 1 a file has a mistake, which is named on standard
error: the default stands in its place.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			conf, problems := config.Load(os.DirFS("/"), i.name())
			conf.DataDirectory = dataDirectory(conf, i)
			e := effectiveConfig{Instance: i.title(), Mode: kernelMode(slog.New(slog.DiscardHandler)), Settings: conf.Settings(), Problems: []string{}}
			for _, p := range problems {
				e.Problems = append(e.Problems, p.Error())
				fmt.Fprintf(cmd.ErrOrStderr(), "archy-recovery: %v\n", p)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), e, true)
			} else {
				printConfig(cmd.OutOrStdout(), e)
			}
			if err == nil && len(problems) > 0 {
				return exitCode{code: exitError}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printConfig writes a configuration file, with a comment above what was set
// and the defaults at the end of their section.
func printConfig(w io.Writer, e effectiveConfig) {
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
			fmt.Fprintf(w, "# %s\n%s=%s\n", origins(s.From), s.Key, s.Value)
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

// origins names each file once, with all its lines.
func origins(from []config.Origin) string {
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

package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Each command and each flag has a help text, and --help prints it and succeeds.
func TestHelpComplete(t *testing.T) {
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		var stdout, stderr bytes.Buffer
		if code := testProgram.Run(append(path, "--help"), &stdout, &stderr); code != ExitOK || stderr.Len() > 0 {
			t.Errorf("%v --help: exit code %d, %s", path, code, stderr.String())
		}
		if cmd.Short == "" || !strings.Contains(stdout.String(), "Usage:") {
			t.Errorf("%v does not say what it is for:\n%s", path, stdout.String())
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(line)) > 90 {
				t.Errorf("%v: a line of %d letters: %q", path, len([]rune(line)), line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || !strings.Contains(stdout.String(), "--"+f.Name) {
				t.Errorf("%v: --%s is not explained", path, f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			if !sub.Hidden {
				walk(sub, append(path[:len(path):len(path)], sub.Name()))
			}
		}
	}
	walk(testProgram.newRoot(), nil)
}

func TestNegativeIDs(t *testing.T) {
	for args, want := range map[string]string{
		"report -1":           "report last-1",
		"--uid 5 plot -12":    "--uid 5 plot last-12",
		"--uid -5 report":     "--uid -5 report",
		"boots -n -1":         "boots -n -1",
		"report 3":            "report 3",
		"report --json -2":    "report --json last-2",
		"user-stopped add -1": "user-stopped add -1",
	} {
		if got := strings.Join(allowNegativeIDs(testProgram.newRoot(), strings.Fields(args)), " "); got != want {
			t.Errorf("%s becomes %s, want %s", args, got, want)
		}
	}
	if got := idOf([]string{"last-3"}); got != "-3" {
		t.Errorf("the ID is %q", got)
	}
}

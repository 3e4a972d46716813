package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// testProgram is the program with a daemon that does not start.
var testProgram = Program{
	Version: "devel",
	Daemon:  func(context.Context, Instance) error { return errors.New("there is no daemon in this test") },
}

func TestMain(m *testing.M) {
	testscript.Main(leakCheck{m}, map[string]func(){
		"archy-recovery": func() { os.Exit(testProgram.Run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// A leakCheck fails if tests leave goroutines.
type leakCheck struct{ *testing.M }

func (m leakCheck) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println("goroutines are left:", err)
		return 1
	}
	return code
}

// What the verbs print, and their exit codes, without a daemon.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		want int
	}{
		"help":                  {"--help", ExitOK},
		"unknown_command":       {"nonsense", ExitUsage},
		"unknown_flag":          {"status --colour", ExitUsage},
		"bad_flag_value":        {"status --uid x", ExitUsage},
		"two_instances":         {"status --uid 5 --system", ExitUsage},
		"version_arguments":     {"version now", ExitUsage},
		"bad_name":              {"user-stopped add ../x", ExitUsage},
		"status_no_daemon":      {"--uid 4242 status", ExitNoDaemon},
		"wait_no_daemon":        {"--uid 4242 wait", ExitNoDaemon},
		"report_no_daemon":      {"--uid 4242 report", ExitNoDaemon},
		"report_ID_no_daemon":   {"--uid 4242 report -1", ExitNoDaemon},
		"report_list_no_daemon": {"--uid 4242 report --list", ExitNoDaemon},
		"blame_no_daemon":       {"--uid 4242 blame", ExitNoDaemon},
		"plot_no_daemon":        {"--uid 4242 plot 3", ExitNoDaemon},
		"plan_no_daemon":        {"--uid 4242 plan", ExitNoDaemon},
		"config_no_daemon":      {"--uid 4242 config", ExitOK},
		"two_reports":           {"report 1 2", ExitUsage},
		"two_formats":           {"report --json --html", ExitUsage},
		"list_with_ID":          {"report --list 3", ExitUsage},
		"list_as_HTML":          {"report --list --html", ExitUsage},
		"two_plots":             {"plot 1 2", ExitUsage},
		"plan_arguments":        {"plan now", ExitUsage},
		"config_arguments":      {"config DefaultTier", ExitUsage},
		"hook_no_daemon":        {"--uid 4242 on-incomplete true", ExitNoDaemon},
		"hook_no_command":       {"on-incomplete", ExitUsage},
		"unknown_shell":         {"completion ksh", ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := testProgram.Run(strings.Fields(c.args), &stdout, &stderr); got != c.want {
				t.Errorf("exit code %d, want %d: %s", got, c.want, stderr.String())
			}
			if c.want != ExitOK && !strings.HasPrefix(stderr.String(), "archy-recovery: ") {
				t.Errorf("stderr is %q", stderr.String())
			}
		})
	}
}

// daemon passes the picked instance on, and keeps the exit code.
func TestDaemon(t *testing.T) {
	var got Instance
	program := Program{Daemon: func(_ context.Context, i Instance) error {
		got = i
		return ExitError{ExitNotWritable, errors.New("the directory is read-only")}
	}}
	var stderr bytes.Buffer
	code := program.Run([]string{"--uid", "4242", "daemon"}, &bytes.Buffer{}, &stderr)
	if code != ExitNotWritable || stderr.String() != "archy-recovery: the directory is read-only\n" {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	if want := (Instance{UID: 4242}); got != want {
		t.Errorf("the instance is %+v, want %+v", got, want)
	}
}

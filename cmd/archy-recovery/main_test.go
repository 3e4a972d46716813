package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"golang.org/x/mod/modfile"
)

func TestMain(m *testing.M) {
	testscript.Main(withoutLeaks{m}, map[string]func(){"archy-recovery": main})
}

// withoutLeaks fails where tests leave goroutines.
type withoutLeaks struct{ *testing.M }

func (m withoutLeaks) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println("goroutines are left:", err)
		return 1
	}
	return code
}

// What the commands print, and their exit codes, where no daemon is needed.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		want int
	}{
		"help is a success":                {"--help", exitOK},
		"an unknown command is bad usage":  {"nonsense", exitUsage},
		"an unknown flag is bad usage":     {"status --colour", exitUsage},
		"a bad flag value is bad usage":    {"status --uid x", exitUsage},
		"two instances are bad usage":      {"status --uid 5 --system", exitUsage},
		"too many arguments are bad usage": {"version now", exitUsage},
		"a bad name is bad usage":          {"user-stopped add ../x", exitUsage},
		"no daemon is told apart":          {"--uid 4242 status", exitNoDaemon},
		"also by wait":                     {"--uid 4242 wait", exitNoDaemon},
		"by report":                        {"--uid 4242 report", exitNoDaemon},
		"by report of an ID":               {"--uid 4242 report -1", exitNoDaemon},
		"by report --list":                 {"--uid 4242 report --list", exitNoDaemon},
		"by blame":                         {"--uid 4242 blame", exitNoDaemon},
		"by plot":                          {"--uid 4242 plot 3", exitNoDaemon},
		"by plan":                          {"--uid 4242 plan", exitNoDaemon},
		"config needs none":                {"--uid 4242 config", exitOK},
		"two reports are bad usage":        {"report 1 2", exitUsage},
		"two formats are bad usage":        {"report --json --html", exitUsage},
		"a list of one is bad usage":       {"report --list 3", exitUsage},
		"a list as a page is bad usage":    {"report --list --html", exitUsage},
		"two plots are bad usage":          {"plot 1 2", exitUsage},
		"a plan takes no arguments":        {"plan now", exitUsage},
		"config takes no arguments":        {"config DefaultTier", exitUsage},
		"an unknown shell is bad usage":    {"completion ksh", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := run(strings.Fields(c.args), &stdout, &stderr); got != c.want {
				t.Errorf("exit code %d, want %d: %s", got, c.want, stderr.String())
			}
			if c.want != exitOK && !strings.HasPrefix(stderr.String(), "archy-recovery: ") {
				t.Errorf("stderr is %q", stderr.String())
			}
		})
	}
}

// Each direct dependency has its reason; a new one needs one too.
func TestDependencies(t *testing.T) {
	reasons := map[string]string{
		"pgregory.net/rapid":               "properties: random fleets, histories and crash points, and the smallest that fails",
		"github.com/coreos/go-systemd/v22": "socket activation, sd_notify, journal fields",
		"github.com/godbus/dbus/v5":        "D-Bus to systemd",
		"github.com/google/renameio/v2":    "atomic, durable replacement of files",
		"github.com/lmittmann/tint":        "log lines on a terminal",
		"github.com/spf13/cobra":           "commands, flags, help, completion",
		"golang.org/x/sys":                 "flock, SO_PEERCRED, terminals",
		// tests only
		"github.com/google/go-cmp":        "diffs in tests",
		"github.com/rogpeppe/go-internal": "scripts of the command line",
		"go.uber.org/goleak":              "goroutine leaks in tests",
		"golang.org/x/mod":                "reads go.mod, for this test",
		"github.com/spf13/pflag":          "the flags that the man page has to list",

		"github.com/prometheus/client_golang": "the linter of metric names, Prometheus' own",
		"github.com/prometheus/client_model":  "what that parser returns",
		"github.com/prometheus/common":        "the parser of the metrics' text format, Prometheus' own",

		"github.com/santhosh-tekuri/jsonschema/v6": "holds the API's answers against docs/openapi.yaml (JSON Schema 2020-12)",
		"go.yaml.in/yaml/v3":                       "reads docs/openapi.yaml",
	}
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	var direct, known []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Mod.Path)
		}
	}
	for path := range reasons {
		known = append(known, path)
	}
	slices.Sort(direct)
	slices.Sort(known)
	if diff := cmp.Diff(known, direct); diff != "" {
		t.Errorf("dependencies with a reason (-) and in go.mod (+):\n%s", diff)
	}
}

// Each message that the catalog explains is one that we log.
func TestCatalog(t *testing.T) {
	text, err := os.ReadFile("../../packaging/systemd/catalog/archy-recovery.catalog")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := os.ReadFile("../../internal/recover/messages.go")
	if err != nil {
		t.Fatal(err)
	}
	explained := 0
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok {
			explained++
			if !strings.Contains(string(messages), `"`+id+`"`) {
				t.Errorf("the catalog explains %s, which is never logged", id)
			}
		}
	}
	if explained == 0 {
		t.Error("the catalog explains nothing")
	}
	if !strings.Contains(string(text), "-- "+recover.MsgVerdict+"\n") {
		t.Error("the verdict is not explained")
	}
}

// The packages' arrows point inward (docs/architecture.md).
func TestArrowsPointInward(t *testing.T) {
	allowed := map[string][]string{
		"recover": {}, "config": {"recover"}, "control": {"recover"}, "podman": {"recover"},
		"state": {"recover"}, "units": {"recover"}, "journal": {"recover", "recover/diagnosis"}, "sdnotify": {}, "pressure": {"recover"},
		"timeline": {"recover"},
	}
	packages, err := os.ReadDir("../../internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		may, ok := allowed[p.Name()]
		if !ok {
			t.Errorf("internal/%s is new: say what it may import", p.Name())
			continue
		}
		files, err := os.ReadDir("../../internal/" + p.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile("../../internal/" + p.Name() + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				name, ok := strings.CutPrefix(strings.TrimSpace(line), `"archy-recovery/internal/`)
				if ok && !slices.Contains(may, strings.TrimSuffix(name, `"`)) {
					t.Errorf("internal/%s/%s imports %s", p.Name(), f.Name(), name)
				}
			}
		}
	}
}

package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// Completion asks the daemon, and each verb offers what it takes.
func TestCompletion(t *testing.T) {
	st := control.Status{UserStopped: []string{"old"}, Containers: []recover.Row{{Name: "web"}, {Name: "old"}},
		Snapshot: recover.Snapshot{Containers: []recover.Container{{Name: "web"}, {Name: "db"}}}}
	fakeDaemon(t, map[string]any{
		"status":     st,
		"quarantine": control.Quarantine{Suspects: recover.Quarantine{{Name: "bad"}}},
		"recoveries": control.Recoveries{Recoveries: []recover.Report{
			{ID: 1, Started: time.Unix(0, 0)},
			{ID: 2, Started: time.Unix(9, 0)},
		}},
	})
	for args, want := range map[string]string{
		"user-stopped add":     "db web",
		"user-stopped add web": "db",
		"user-stopped remove":  "old",
		"quarantine release":   "bad",
		"quarantine release a": "",
		"report":               "2 1",
		"blame":                "2 1",
		"plot 2":               "",
		"status":               "",
		"wait --timeout 5m":    "",
	} {
		_, stdout, _ := runVerb(t, append(append([]string{"__complete"}, strings.Fields(args)...), "")...)
		var got []string
		for line := range strings.Lines(stdout) {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); !strings.HasPrefix(name, ":") {
				got = append(got, name)
			} else if name == ":0" {
				t.Errorf("%s: files are offered", args)
			}
		}
		if names := strings.Join(got, " "); names != want {
			t.Errorf("%s: offered are %q, want %q", args, names, want)
		}
	}
	if _, stdout, _ := runVerb(t, "__complete", "status", "--uid", ""); !strings.HasPrefix(stdout, "4242\n") {
		t.Errorf("--uid: offered is %q", stdout)
	}
}

// The error for an instance without a socket names the instances that have one.
func TestOtherInstancesNamed(t *testing.T) {
	fakeDaemon(t, map[string]any{})
	var stderr bytes.Buffer
	code := testProgram.Run([]string{"--uid", "4243", "status"}, &bytes.Buffer{}, &stderr)
	if code != ExitNoDaemon || !strings.Contains(stderr.String(), "did you mean --uid 4242?") {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
}

// A verb fails if its output cannot be written.
func TestOutputDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, args := range []string{"version", "version --json", "completion bash", "--help"} {
		var stderr bytes.Buffer
		code := testProgram.Run(strings.Fields(args), full, &stderr)
		if code != ExitFailure || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit code %d, %s", args, code, stderr.String())
		}
	}
}

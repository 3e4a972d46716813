package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// afterRecovery is a status after READY, with containers that are not recovered.
func afterRecovery(lost ...string) map[string]any {
	st := control.Status{Instance: "4242", State: recover.Ready, RecoveryComplete: true, BootID: "b2", Started: begin,
		RecoveryID: 7, Progress: "complete with some not recovered",
		Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: recover.CausePowerLoss,
			Reason: "the journal\njust stops"},
		Containers: []recover.Row{{Name: "web", State: recover.RowUp}}}
	for _, name := range lost {
		st.Containers = append(st.Containers,
			recover.Row{Name: name, State: recover.RowFailed, Error: "it broke\x00\nand how"})
	}
	return map[string]any{"status": st}
}

// The command learns which containers were not recovered, and why. No text of a container
// ends a line or a variable.
func TestOnIncompleteEnvironment(t *testing.T) {
	fakeDaemon(t, afterRecovery("db", "app"))
	code, stdout, stderr := runVerb(t, "on-incomplete",
		"sh", "-c", "env | grep ^ARCHY_RECOVERY_ | sort; echo \"$1\"", "sh", "--list")
	want := `ARCHY_RECOVERY_CAUSE=power-loss
ARCHY_RECOVERY_DETAILS=db failed: it broke� and how
ARCHY_RECOVERY_ID=7
ARCHY_RECOVERY_INSTANCE=4242
ARCHY_RECOVERY_NEW=db app
ARCHY_RECOVERY_NOT_RECOVERED=db app
ARCHY_RECOVERY_REASON=the journal just stops
ARCHY_RECOVERY_SUMMARY=complete with some not recovered
ARCHY_RECOVERY_VERDICT=host-crash
--list
`
	if code != ExitOK || stdout != want || stderr != "" {
		t.Errorf("exit code %d, %q\n%s", code, stderr, stdout)
	}
	_, stdout, _ = runVerb(t, "on-incomplete", "sh", "-c", `echo "$ARCHY_RECOVERY_DETAILS"`)
	if want := "db failed: it broke� and how\napp failed: it broke� and how\n"; stdout != want {
		t.Errorf("the details are %q", stdout)
	}
}

// The command runs once, and again for what falls later, or falls again.
func TestOnIncompleteOnce(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	run := func(want string, lost ...string) {
		t.Helper()
		fakeDaemon(t, afterRecovery(lost...))
		code, stdout, stderr := runVerb(t, "on-incomplete", "sh", "-c",
			`echo "$ARCHY_RECOVERY_NEW of $ARCHY_RECOVERY_NOT_RECOVERED"`)
		if code != ExitOK || stdout != want || stderr != "" {
			t.Errorf("%q: exit code %d, %q, %q, want %q", lost, code, stdout, stderr, want)
		}
	}
	run("")
	run("db of db\n", "db")
	run("", "db")
	run("app of db app\n", "db", "app")
	run("", "app") // db is up again
	run("db of db app\n", "db", "app")
	file := filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "told.json")
	if err := os.WriteFile(file, []byte("{damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("db app of db app\n", "db", "app") // rather twice than never
}

// Another recovery is told of anew.
func TestOnIncompleteNextRecovery(t *testing.T) {
	before := told{BootID: "b1", Started: begin, Names: []string{"db"}}
	next := told{BootID: "b2", Started: begin, Names: []string{"db"}}
	if got := before.lacks(next); len(got) != 1 {
		t.Errorf("new in the next boot: %q", got)
	}
	next.BootID, next.Started = "b1", begin.Add(1)
	if got := before.lacks(next); len(got) != 1 {
		t.Errorf("new in the next recovery of the boot: %q", got)
	}
	next.Started = begin
	if got := before.lacks(next); len(got) != 0 {
		t.Errorf("new in the same recovery: %q", got)
	}
}

// What the command could not tell is not taken for told.
func TestOnIncompleteCommandFails(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	for range 2 {
		fakeDaemon(t, afterRecovery("db"))
		code, _, stderr := runVerb(t, "on-incomplete", "sh", "-c", "exit 4")
		if code != ExitFailure || !strings.Contains(stderr, "sh failed, so nobody was told of db: exit status 4") {
			t.Errorf("exit code %d, %q", code, stderr)
		}
	}
	fakeDaemon(t, afterRecovery("db"))
	code, _, stderr := runVerb(t, "on-incomplete", "/nowhere/hook")
	if code != ExitFailure || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestOnIncompleteTooEarly(t *testing.T) {
	fakeDaemon(t, map[string]any{"status": control.Status{State: recover.Recovering}})
	code, stdout, stderr := runVerb(t, "on-incomplete", "echo", "told")
	if code != ExitFailure || stdout != "" || !strings.Contains(stderr, "recovery is not complete: wait for it with") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// Many failures fit into what the kernel takes for a variable.
func TestOnIncompleteManyContainers(t *testing.T) {
	st := control.Status{}
	for i := range 2000 {
		st.Containers = append(st.Containers, recover.Row{Name: fmt.Sprintf("c%d", i), State: recover.RowFailed,
			Error: strings.Repeat("x", 200)})
	}
	for _, variable := range hookEnvironment(st, nil) {
		if len(variable) > maxDetails+100 {
			t.Errorf("%.40s… has %d bytes", variable, len(variable))
		}
		if strings.HasPrefix(variable, "ARCHY_RECOVERY_NOT_RECOVERED=") && !strings.HasSuffix(variable, " c1999") {
			t.Error("names are missing")
		}
		if strings.HasPrefix(variable, "ARCHY_RECOVERY_DETAILS=") && !strings.Contains(variable, "\nand 1") {
			t.Errorf("the details end with %q", variable[len(variable)-40:])
		}
	}
}

package vm

import (
	"os"
	"strings"
	"testing"
)

// guard leaves the virtual machines to `make power-test`: each boot takes a
// good part of a minute.
func guard(t *testing.T) {
	t.Helper()
	if os.Getenv("ARCHY_VM") == "" {
		t.Skip("virtual machines are for `make power-test`")
	}
}

// A machine boots, runs commands, loses what was not synced with its power, and
// goes off in order.
func TestMachine(t *testing.T) {
	guard(t)
	m := Start(t, Options{FS: Ext4})
	m.Boot()
	first := m.BootID()
	if got := strings.TrimSpace(m.As(User).MustRun("id", "--user", "--name")); got != "archy" {
		t.Errorf("the user is %q", got)
	}
	m.WriteFile("/root/synced", "kept", 0o600)
	m.MustRun("sync")
	m.WriteFile("/root/late", "lost", 0o600)
	m.PullPlug()
	if _, err := m.Examine("/root"); err != nil {
		t.Errorf("the file system is damaged: %v", err)
	}
	m.Boot("archy.test=1")
	if m.BootID() == first {
		t.Error("the same boot")
	}
	if got, err := m.ReadFile("/root/synced"); got != "kept" {
		t.Errorf("what was synced is %q, %v", got, err)
	}
	if got, err := m.ReadFile("/root/late"); err == nil {
		t.Errorf("what was not synced is there: %q", got)
	}
	if got := m.MustRun("cat", "/proc/cmdline"); !strings.Contains(got, "archy.test=1") {
		t.Errorf("the command line is %q", got)
	}
	_, err := m.Run("sh", "-c", "echo out; echo err >&2; exit 3")
	if exit, ok := err.(*ExitError); !ok || exit.Status != 3 || !strings.Contains(exit.Error(), "out\nerr") {
		t.Errorf("the failed command's error is %v", err)
	}
	second := m.BootID()
	m.Reset()
	if m.BootID() == second {
		t.Error("no other boot after a reset")
	}
	m.WaitBooted()
	m.PowerOff()
	if m.IsOn() {
		t.Error("the machine is on after a power-off")
	}
}

package vm

import (
	"os"
	"strings"
	"testing"
)

// requireVM skips the test outside of `make power-test`: each boot of a virtual
// machine takes a good part of a minute.
func requireVM(t *testing.T) {
	t.Helper()
	if os.Getenv("ARCHY_VM") == "" {
		t.Skip("only `make power-test` runs virtual machines")
	}
}

// A machine boots and runs commands. It loses unsynced data with its power. It
// shuts down cleanly.
func TestMachine(t *testing.T) {
	requireVM(t)
	m := Start(t, Options{FS: Ext4})
	m.Boot()
	first := m.BootID()
	if got := strings.TrimSpace(m.As(User).MustRun("id", "--user", "--name")); got != "archy" {
		t.Errorf("the user is %q", got)
	}
	m.MustRun("systemctl", "start", "uplink.service") // waits for the job if the boot goes on
	if got := m.MustRun("ip", "route", "show", "default"); !strings.Contains(got, "via 10.0.2.2 dev eth0") {
		t.Errorf("the default route is %q", got)
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
		t.Error("the boot ID is the same after the cut")
	}
	if got, err := m.ReadFile("/root/synced"); got != "kept" {
		t.Errorf("the synced file is %q, %v", got, err)
	}
	if got, err := m.ReadFile("/root/late"); err == nil {
		t.Errorf("the unsynced file survived: %q", got)
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
		t.Error("the boot ID is the same after a reset")
	}
	m.WaitBooted()
	m.PowerOff()
	if m.IsOn() {
		t.Error("the machine is on after a power-off")
	}
}

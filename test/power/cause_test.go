package power

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/vm"
)

// Only a machine with its own kernel and firmware can show these causes. The next
// boot must name each.
func TestCauses(t *testing.T) {
	watchdog := []string{"-device", "i6300esb", "-action", "watchdog=reset"}
	n := start(t, vm.Options{FS: vm.Ext4, Devices: watchdog}, "")
	// The machine has no udev that would load the driver.
	n.WriteFile("/etc/modules-load.d/watchdog.conf", "i6300esb\n", 0o644)
	n.quadlet("app")
	n.MustRun("systemctl", "daemon-reload")
	n.MustRun("systemctl", "start", "app")
	n.MustRun("systemctl", "enable", "--now", service)
	n.waitSaved("app")

	shell := func(script string) func() {
		return func() { _, _ = n.Run("sh", "-c", script) } // its effect cuts the command
	}
	t.Run("service_out_of_memory", func(t *testing.T) {
		n := &node{n.VM, t}
		pid := n.MustRun("systemctl", "show", "--value", "--property=MainPID", service)
		n.MustRun("systemctl", "set-property", "--runtime", service, "MemoryMax=1M")
		n.MustRun("systemctl", "set-property", "--runtime", service, "MemoryMax=infinity")
		n.WaitFor(2*time.Minute, "a new daemon", func() bool {
			shown := n.MustRun("systemctl", "show", "--value", "--property=MainPID,ActiveState", service)
			now := strings.Split(shown, "\n")
			return now[0]+"\n" != pid && now[1] == "active"
		})
		n.wantCause(recover.ServiceCrashed, recover.CauseOOM)
		n.record("service-oom", "-b", "_PID=1", "UNIT="+service)
	})
	for _, c := range []struct {
		name    string
		cause   recover.Cause
		provoke func()
		record  string
	}{
		{"kernel_panic", recover.CausePanic, shell("echo c >/proc/sysrq-trigger"), "panic"},
		{"out_of_memory_panic", recover.CauseOOM, shell("sysctl vm.panic_on_oom=1; tail /dev/zero"), "panic-oom"},
		// A watchdog that is opened, closed without the letter V, and not fed, fires.
		{"hardware_watchdog", recover.CauseWatchdog, shell("modprobe i6300esb; " +
			"for w in /sys/class/watchdog/*; do cat $w/identity; done; : >/dev/watchdog; sleep 300"), ""},
		{"software_watchdog", recover.CauseWatchdog, shell("modprobe -r i6300esb; " +
			"modprobe softdog soft_margin=2 soft_panic=1; : >/dev/watchdog; sleep 300"), "softdog"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{n.VM, t}
			n.waitSoaked() // else the next boot treats the container as a suspect
			boot := n.BootID()
			c.provoke()
			n.WaitReboot(boot)
			n.WaitBooted()
			n.wantCause(recover.HostCrashed, c.cause)
			if c.record == "" {
				return // the journal has no entry about it
			}
			// The last entry holds the end of the record.
			n.record(c.record, "-b", "-n", "1", "SYSLOG_IDENTIFIER=systemd-pstore")
		})
	}
}

// wantCause checks the verdict's ending and cause, that it has evidence, and that
// the container runs again.
func (n *node) wantCause(ending recover.Ending, cause recover.Cause) {
	n.t.Helper()
	v := n.waitVerdict()
	n.t.Logf("%s, cause %s: %s; evidence %+v", v.Ending, v.Cause, v.Reason, v.Evidence)
	if v.Ending != ending || v.Cause != cause {
		n.t.Errorf("the verdict is %s, cause %s, want %s, cause %s", v.Ending, v.Cause, ending, cause)
		n.t.Logf("pstore:\n%s\nbootstatus: %s",
			n.MustRun("journalctl", "-b", "SYSLOG_IDENTIFIER=systemd-pstore", "-o", "cat", "--no-pager"),
			n.MustRun("sh", "-c", "ls -la /sys/fs/pstore /var/lib/systemd/pstore; "+
				"grep . /sys/class/watchdog/*/* 2>/dev/null; dmesg | grep -i -E 'watchdog|6300|panic|pstore'; true"))
	}
	if len(v.Evidence) == 0 {
		n.t.Error("the verdict has no evidence")
	}
	if !n.running()["app"] {
		n.t.Error("the container does not run")
	}
}

package recovery

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
)

// In these tests the journal is incomplete or wrong. The daemon is killed, and the
// host goes down. The verdict must be right or "unknown", and recovery must not wait
// for it.

// killDaemonForGood starts the container app and the daemon, and kills the daemon.
// systemd does not start it again. The next boot must give a verdict on this one.
func (n *node) killDaemonForGood() {
	n.t.Helper()
	if _, err := n.ReadFile("/etc/systemd/system/" + n.unit() + ".d/test.conf"); err != nil {
		n.networkOnline() // the test may have booted again
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.dropIn("test.conf", "[Service]\nRestart=no\n")
		n.enable()
		n.waitSaved("app")
	}
	n.killDaemon()
}

// boots returns the list of `archy-recovery boots`, by boot ID, and its order.
func (n *node) boots() (byID map[string]recover.Boot, order []string) {
	n.t.Helper()
	var list []recover.Boot
	if err := json.Unmarshal([]byte(n.cli("boots", "-n", "50", "--json")), &list); err != nil {
		n.t.Fatal(err)
	}
	byID = map[string]recover.Boot{}
	for _, b := range list {
		byID[b.BootID] = b
		order = append(order, b.BootID)
	}
	return byID, order
}

// If the journal or /var is on its own file system, journald relinquishes it before
// the unmount. Its last entries are lost.
func TestJournalRelinquishedEarly(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.WriteFile("/etc/fstab", "/srv/journal /var/log/journal none bind 0 0\n", 0o644, 0)
		n.MustRun("mkdir", "-p", "/srv/journal", "/var/log/journal")
		n.Reboot()
		n.killDaemonForGood()
		boot := n.BootID()
		n.Reboot()
		n.wantCause(recover.HostCrashed, recover.CauseShutdown)
		n.record("clean-shutdown-let-go", "_BOOT_ID="+boot)

		// A restart of the unit also ends it. That is no shutdown.
		n.MustRun("systemctl", "restart", "systemd-journal-flush.service")
		n.MustRun("journalctl", "--sync")
		boot = n.BootID()
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)
		n.record("power-loss-after-flush", "_BOOT_ID="+boot)
	})
}

// wrongClock gives journald a clock that setClock controls.
func (n *node) wrongClock() {
	n.t.Helper()
	lib := filepath.Join(n.t.TempDir(), "clock.so")
	gcc := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-o", lib, "testdata/clock.c")
	if out, err := gcc.CombinedOutput(); err != nil {
		n.t.Fatalf("gcc: %v\n%s", err, out)
	}
	content, err := os.ReadFile(lib)
	if err != nil {
		n.t.Fatal(err)
	}
	n.WriteFile("/usr/local/lib/clock.so", string(content), 0o755, 0)
	n.WriteFile("/etc/systemd/system/systemd-journald.service.d/clock.conf",
		"[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/clock.so\n", 0o644, 0)
	n.setClock("0")
}

// setClock sets the difference of journald's clock from the host's.
func (n *node) setClock(seconds string) { n.WriteFile("/etc/clock-offset", seconds, 0o644, 0) }

// The clock jumps back between boots, as without a battery, and within a boot, as
// when the time comes from the network.
func TestClockJumpsBack(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.wrongClock()
		n.Reboot()
		n.killDaemonForGood()
		first := n.BootID()
		n.PullPlug()
		n.setClock("-200000")
		n.Boot() // two days before the previous boot, by its clock
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)

		second := n.BootID()
		n.setClock("-400000")
		n.MustRun("logger", "the clock has jumped")
		n.killDaemonForGood()
		n.MustRun("journalctl", "--sync")
		n.setClock("-500000")
		n.Reboot()
		n.wantCause(recover.HostCrashed, recover.CauseShutdown)
		n.record("clean-shutdown-clock-inside", "_BOOT_ID="+second)
		n.recordBoots("boots-clock")

		byID, order := n.boots()
		for boot, want := range map[string]recover.Cause{
			first: recover.CausePowerLoss, second: recover.CauseShutdown, n.BootID(): "",
		} {
			if got, listed := byID[boot]; !listed || got.Cause != want || (got.Index == 0) != (want == "") {
				n.t.Errorf("boot %s is listed (%t) as %d, ended by %q, want %q; the list is %q",
					boot, listed, got.Index, got.Cause, want, order)
			}
		}
	})
}

// recordBoots keeps journalctl's list of boots for the tests of internal/journal.
func (n *node) recordBoots(name string) {
	n.t.Helper()
	if n.uid == 0 {
		artifact.Record(n.t, name, func() string { return n.Journal("--list-boots", "-o", "json") })
	}
}

// Each boot has the same ID, as on a machine without random numbers.
func TestRepeatedBootID(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		const boot = "11111111222243338444555555555555"
		n.WriteFile("/etc/boot-id", "11111111-2222-4333-8444-555555555555\n", 0o644, 0)
		// This PID 1 gives each boot the same ID, and clocks that begin at the boot.
		n.MustRun("cp", "-a", "/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd.real")
		n.PowerOff()
		n.Remove("/usr/lib/systemd/systemd")
		n.WriteFile("/usr/lib/systemd/systemd", `#!/bin/sh
[ $$ = 1 ] || exec /usr/lib/systemd/systemd.real "$@"
umount -q --recursive --all-targets /proc/sys/kernel/random/boot_id
mount --bind /etc/boot-id /proc/sys/kernel/random/boot_id
up=$(cut -d. -f1 /proc/uptime)
exec unshare --time --monotonic=-$((up - 1)) --boottime=-$((up - 1)) /usr/lib/systemd/systemd.real "$@"
`, 0o755, 0)
		n.Boot()
		if n.BootID() != boot {
			n.t.Fatalf("the boot ID is %s", n.BootID())
		}
		n.killDaemonForGood()
		n.MustRun("systemctl", "start", n.unit())
		n.wantCause(recover.ServiceCrashed, recover.CauseSignal)

		// The kill of the daemon in the previous boot did not end its last run; the
		// power failure did.
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CauseUnknown)
		n.record("repeated-boot-id", "_BOOT_ID="+boot, "_PID=1", "UNIT="+n.unit())
		n.recordBoots("boots-repeated")
		if byID, order := n.boots(); byID[boot].Index != 0 {
			n.t.Errorf("the boots are %q", order)
		}

		n.waitSaved("app")
		n.crash() // after a boot in which nothing was killed
		n.waitRecovered()
		n.wantRunning("app")
	})
}

// Only three entries of a boot are left. The rest and all earlier boots were
// vacuumed.
func TestThreeJournalEntries(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.killDaemonForGood()
		n.PullPlug()
		// journald stores only emergencies and its own entries.
		n.WriteFile("/etc/systemd/journald.conf.d/few.conf",
			"[Journal]\nMaxLevelStore=emerg\nForwardToWall=no\nReadKMsg=no\n", 0o644, 0)
		n.Boot()
		n.waitRecovered()
		n.killDaemonForGood()
		n.MustRun("journalctl", "--rotate")
		n.MustRun("journalctl", "--vacuum-files=1")
		for _, word := range []string{"one", "two"} { // the third entry is journald's, about its new file
			n.MustRun("logger", "--priority=daemon.emerg", word)
		}
		n.MustRun("journalctl", "--sync")
		boot := n.BootID()
		n.PullPlug()
		n.Remove("/etc/systemd/journald.conf.d/few.conf")
		n.Boot()
		if lines := strings.Count(n.Journal("-o", "json", "_BOOT_ID="+boot), "\n"); lines != 3 {
			n.t.Errorf("%d entries are left:\n%s", lines, n.Journal("_BOOT_ID="+boot))
		}
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)
		n.record("three-entries", "_BOOT_ID="+boot)
		n.recordBoots("boots-three-entries")
		if byID, order := n.boots(); byID[boot].Index != -1 || byID[boot].Cause != recover.CausePowerLoss {
			n.t.Errorf("the boots are %q: %+v", order, byID[boot])
		}
	})
}

// A journal in memory has nothing of the boot that crashed. The verdict and boots say
// until when it was alive, and a note names the drop-in that keeps the journal.
func TestVolatileJournal(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.networkOnline()
		n.WriteFile("/etc/systemd/journald.conf.d/50-volatile.conf", "[Journal]\nStorage=volatile\n", 0o644, 0)
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.enable()
		n.Reboot()
		n.user.Systemctl("start", "app")
		n.waitSaved("app")
		boot := n.BootID()
		n.crash()
		const alive, dropIn = "alive until about ", "90-persistent.conf"
		n.wantVerdict(recover.HostCrashed, recover.CauseUnknown)
		n.wantRunning("app")
		st, err := n.status()
		if err != nil || !strings.Contains(st.Verdict.Reason, alive) {
			n.t.Errorf("%v, the verdict is %+v", err, st.Verdict)
		}
		if !strings.Contains(strings.Join(st.Notes, "\n"), dropIn) {
			n.t.Errorf("the notes are %q", st.Notes)
		}
		n.WaitFor(30*time.Second, "the report, from which boots knows it", func() bool {
			return strings.Contains(line(n.cli("boots"), boot), alive)
		})
		// The drop-in helps.
		n.WriteFile("/etc/systemd/journald.conf.d/"+dropIn, "[Journal]\nStorage=persistent\n", 0o644, 0)
		n.MustRun("systemctl", "restart", "systemd-journald")
		n.MustRun("journalctl", "--flush")
		n.MustRun("systemctl", "restart", n.unit())
		if notes := n.waitRecovered().Notes; strings.Contains(strings.Join(notes, "\n"), dropIn) {
			n.t.Errorf("with the drop-in the notes are %q", notes)
		}
	})
}

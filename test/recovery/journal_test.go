package recovery

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/journal"
	"archy-recovery/internal/recover"
)

// Journals that are not as one would like them: the daemon is killed, the host
// goes down, and the verdict has to be right, or "unknown", and recovery is
// never held up by it.

// killed starts the app and the daemon, and kills the daemon for good, so that
// the next boot has to say how this one ended.
func (n *node) killed() {
	n.t.Helper()
	if _, err := n.ReadFile("/etc/systemd/system/" + n.unit() + ".d/test.conf"); err != nil {
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/test.conf", "[Service]\nRestart=no\n", 0o644, 0)
		n.enable()
		n.saved("app")
	}
	n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", n.unit())
}

// boots is what `archy-recovery boots` says, by boot ID, and the list's order.
func (n *node) boots() (byID map[string]journal.Boot, order []string) {
	n.t.Helper()
	var list []journal.Boot
	if err := json.Unmarshal([]byte(n.cli("boots", "-n", "50", "--json")), &list); err != nil {
		n.t.Fatal(err)
	}
	byID = map[string]journal.Boot{}
	for _, b := range list {
		byID[b.BootID] = b
		order = append(order, b.BootID)
	}
	return byID, order
}

// With the journal on a file system of its own, as with /var on one, journald
// lets go of it before that is unmounted, and what it says last is lost.
func TestAJournalThatIsLetGoOfEarly(t *testing.T) {
	both(t, "", func(n *node) {
		n.WriteFile("/etc/fstab", "/srv/journal /var/log/journal none bind 0 0\n", 0o644, 0)
		n.MustRun("mkdir", "-p", "/srv/journal", "/var/log/journal")
		n.Reboot()
		n.killed()
		boot := n.BootID()
		n.Reboot()
		n.wantCause(recover.HostCrashed, recover.CauseShutdown)
		n.record("clean-shutdown-let-go", "_BOOT_ID="+boot)

		// The same unit also ends when someone restarts it. That is no shutdown.
		n.MustRun("systemctl", "restart", "systemd-journal-flush.service")
		n.MustRun("journalctl", "--sync")
		boot = n.BootID()
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)
		n.record("power-loss-after-flush", "_BOOT_ID="+boot)
	})
}

// wrongClock gives journald a clock that setClock sets.
func (n *node) wrongClock() {
	n.t.Helper()
	lib := filepath.Join(n.t.TempDir(), "clock.so")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-o", lib, "testdata/clock.c").CombinedOutput(); err != nil {
		n.t.Fatalf("gcc: %v\n%s", err, out)
	}
	content, err := os.ReadFile(lib)
	if err != nil {
		n.t.Fatal(err)
	}
	n.WriteFile("/usr/local/lib/clock.so", string(content), 0o755, 0)
	n.WriteFile("/etc/systemd/system/systemd-journald.service.d/clock.conf", "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/clock.so\n", 0o644, 0)
	n.setClock("0")
}

func (n *node) setClock(seconds string) { n.WriteFile("/etc/clock-offset", seconds, 0o644, 0) }

// A clock that jumps back between boots, as without a battery, and inside one,
// when the time comes from the network.
func TestAClockThatJumpsBack(t *testing.T) {
	both(t, "", func(n *node) {
		n.wrongClock()
		n.Reboot()
		n.killed()
		first := n.BootID()
		n.PullPlug()
		n.setClock("-200000")
		n.Boot() // two days before the one before it
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)

		second := n.BootID()
		n.setClock("-400000")
		n.MustRun("logger", "the clock has jumped")
		n.killed()
		n.MustRun("journalctl", "--sync")
		n.setClock("-500000")
		n.Reboot()
		n.wantCause(recover.HostCrashed, recover.CauseShutdown)
		n.record("clean-shutdown-clock-inside", "_BOOT_ID="+second)
		n.recordBoots("boots-clock")

		byID, order := n.boots()
		for boot, want := range map[string]recover.Cause{first: recover.CausePowerLoss, second: recover.CauseShutdown, n.BootID(): ""} {
			if got, listed := byID[boot]; !listed || got.Cause != want || (got.Index == 0) != (want == "") {
				n.t.Errorf("boot %s is listed (%t) as %d, ended by %q, want %q; the list is %q", boot, listed, got.Index, got.Cause, want, order)
			}
		}
	})
}

// recordBoots keeps journalctl's list of boots, like record.
func (n *node) recordBoots(name string) {
	n.t.Helper()
	if dir := os.Getenv("ARCHY_RECORD"); dir != "" && n.uid == 0 {
		text := n.Journal("--list-boots", "-o", "json")
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
			n.t.Fatal(err)
		}
	}
}

// Each boot has the same ID, as on a machine whose random numbers are none.
func TestARepeatedBootID(t *testing.T) {
	both(t, "", func(n *node) {
		const boot = "11111111222243338444555555555555"
		n.WriteFile("/etc/boot-id", "11111111-2222-4333-8444-555555555555\n", 0o644, 0)
		// As PID 1: with that boot ID, and with clocks that begin at the boot.
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
		n.killed()
		n.MustRun("systemctl", "start", n.unit())
		n.wantCause(recover.ServiceCrashed, recover.CauseSignal)

		// That the daemon was killed in the boot before, and came up again, is
		// not what ended its last run: the power did.
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CauseUnknown)
		n.record("repeated-boot-id", "_BOOT_ID="+boot, "_PID=1", "UNIT="+n.unit())
		n.recordBoots("boots-repeated")
		if byID, order := n.boots(); byID[boot].Index != 0 {
			n.t.Errorf("boots are %q", order)
		}

		n.saved("app")
		n.crash() // once more, after a boot in which nothing was killed
		n.wait()
		n.wantRunning("app")
	})
}

// A boot of which three entries are left: the rest was vacuumed, and with it
// the boots before.
func TestABootWithThreeEntries(t *testing.T) {
	both(t, "", func(n *node) {
		n.killed()
		n.PullPlug()
		// Of others journald keeps what is an emergency.
		n.WriteFile("/etc/systemd/journald.conf.d/few.conf", "[Journal]\nMaxLevelStore=emerg\nForwardToWall=no\nReadKMsg=no\n", 0o644, 0)
		n.Boot()
		n.wait()
		n.killed()
		n.MustRun("journalctl", "--rotate")
		n.MustRun("journalctl", "--vacuum-files=1")
		for _, word := range []string{"one", "two"} { // beside what journald says of its new file
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
			n.t.Errorf("boots are %q: %+v", order, byID[boot])
		}
	})
}

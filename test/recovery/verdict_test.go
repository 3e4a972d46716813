package recovery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// record keeps the end of a boot's journal for the tests of internal/journal,
// when ARCHY_RECORD names a directory.
func (n *node) record(name string, match ...string) {
	n.t.Helper()
	dir := os.Getenv("ARCHY_RECORD")
	if dir == "" || n.uid != 0 {
		return
	}
	text := n.Journal(append([]string{"-o", "json", "-n", "120", "--output-fields=" +
		"MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,_UID,_SYSTEMD_UNIT,UNIT,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,INVOCATION_ID,SHUTDOWN"}, match...)...)
	if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// wantCause wants a verdict with that cause, evidence for it, and the app.
func (n *node) wantCause(ending recover.Ending, cause recover.Cause) {
	n.t.Helper()
	n.wantVerdict(ending, cause)
	n.wantRunning("app")
}

// wantVerdict wants a verdict with that cause, and evidence for it.
func (n *node) wantVerdict(ending recover.Ending, cause recover.Cause) {
	n.t.Helper()
	n.wait()
	var v recover.Verdict
	n.WaitFor(10*time.Second, "the verdict's cause", func() bool { // the journal is read beside recovery
		st, err := n.status()
		v = st.Verdict
		return err == nil && strings.Contains(v.Reason, "; ")
	})
	if v.Ending != ending || v.Cause != cause {
		n.t.Errorf("the verdict is %s, cause %s (%s), want %s, cause %s", v.Ending, v.Cause, v.Reason, ending, cause)
	}
	if cause != recover.CauseUnknown && len(v.Evidence) == 0 {
		n.t.Errorf("%s: no evidence", cause)
	}
	for _, e := range v.Evidence {
		if shown := n.Journal("--cursor="+e.Cursor, "-n", "1", "-o", "cat"); strings.TrimSpace(shown) != strings.TrimSpace(e.Message) {
			n.t.Errorf("the evidence %q is not the entry at its cursor: %q", e.Message, shown)
		}
	}
}

// Each cause that a container machine can show, named right.
func TestCauses(t *testing.T) {
	both(t, "SoakSec=1\n", func(n *node) {
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/test.conf", "[Service]\nWatchdogSec=3\n[Unit]\nStartLimitBurst=50\n", 0o644, 0)
		n.enable()
		n.saved("app")

		boot := n.BootID()
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)
		n.record("power-loss", "_BOOT_ID="+boot)
		if list := n.cli("boots", "-n", "2"); !strings.Contains(line(list, boot), string(recover.CausePowerLoss)) {
			n.t.Errorf("boots prints\n%s", list)
		}
		if log := n.Journal("-b", "-x", "MESSAGE_ID="+recover.MsgVerdict); !strings.Contains(log, "How the last run ended: host-crash") {
			n.t.Errorf("journalctl -x does not explain the verdict:\n%s", log)
		}

		daemonEnds := func(signal string, ending recover.Ending, cause recover.Cause, name string) {
			n.t.Helper()
			daemon := n.Show(n.unit(), "MainPID")["MainPID"]
			n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal="+signal, n.unit())
			n.WaitFor(30*time.Second, "a new daemon", func() bool {
				now := n.Show(n.unit(), "MainPID", "ActiveState")
				return now["ActiveState"] == "active" && now["MainPID"] != daemon
			})
			n.wantCause(ending, cause)
			n.record(name, "-b", "_PID=1", "UNIT="+n.unit())
		}
		daemonEnds("SIGKILL", recover.ServiceCrashed, recover.CauseSignal, "service-signal")
		daemonEnds("SIGSEGV", recover.ServiceCrashed, recover.CauseExit, "service-exit") // Go turns it into exit status 2
		daemonEnds("SIGSTOP", recover.ServiceCrashed, recover.CauseWatchdog, "service-watchdog")

		// The daemon is killed and the host shut down in order.
		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/test.conf", "[Service]\nRestart=no\n", 0o644, 0)
		n.MustRun("systemctl", "daemon-reload")
		boot = n.BootID()
		n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", n.unit())
		n.Reboot()
		n.wantCause(recover.HostCrashed, recover.CauseShutdown)
		n.record("clean-shutdown", "_BOOT_ID="+boot)

		// The journal is lost with the power.
		n.soaked()
		n.WriteFile("/etc/systemd/journald.conf.d/volatile.conf", "[Journal]\nStorage=volatile\n", 0o644, 0)
		n.crash()
		n.soaked()
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CauseUnknown)

		// The journal is damaged.
		n.Remove("/etc/systemd/journald.conf.d/volatile.conf")
		n.soaked()
		n.crash()
		n.soaked()
		n.PullPlug()
		n.damageJournal()
		n.Boot()
		if v := n.wait().Verdict; v.Ending != recover.HostCrashed {
			n.t.Errorf("with a damaged journal the verdict is %+v", v)
		}
		n.wantRunning("app")
	})
}

// A soft-reboot keeps the boot ID: its count tells it from a crash of the
// service. (Of the test machine it takes podman's store away, so there is no
// container to look at.)
func TestASoftReboot(t *testing.T) {
	both(t, "", func(n *node) {
		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/test.conf", "[Service]\nRestart=no\n", 0o644, 0)
		n.enable()
		boot := n.BootID()
		n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", n.unit())
		n.SoftReboot()
		n.WaitFor(20*time.Second, "the verdict's cause", func() bool {
			st, err := n.status()
			v := st.Verdict
			return err == nil && v.Ending == recover.HostCrashed && v.Cause == recover.CauseSoftBoot
		})
		if n.BootID() != boot {
			n.t.Errorf("the boot ID changed: this was no soft-reboot")
		}
	})
}

// damageJournal overwrites the middle of each journal file of a machine that
// is off.
func (n *node) damageJournal() {
	n.t.Helper()
	machines, err := n.ReadDir("/var/log/journal")
	if err != nil || len(machines) == 0 {
		n.t.Fatalf("no journal: %v", err)
	}
	for _, m := range machines {
		dir := "/var/log/journal/" + m.Name()
		files, err := n.ReadDir(dir)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, f := range files {
			text, err := n.ReadFile(dir + "/" + f.Name())
			if err != nil {
				n.t.Fatal(err)
			}
			broken := []byte(text)
			for i := len(broken) / 10; i < len(broken)*9/10; i += 64 {
				broken[i] ^= 0xff
			}
			n.WriteFile(dir+"/"+f.Name(), string(broken), 0o640, 0)
		}
	}
}

// What was started and stopped while the daemon itself was dead is known from
// the journal.
func TestWhatHappenedWhileTheDaemonWasDead(t *testing.T) {
	both(t, "", func(n *node) {
		for _, name := range []string{"stays", "stops", "later", "fails"} {
			n.quadlet(name, 3, "", "")
		}
		n.user.Systemctl("start", "stays", "stops", "fails")
		n.plain("plainstays", 3)
		n.plain("plainstops", 3)
		n.enable()
		n.saved("fails", "plainstays", "plainstops", "stays", "stops")

		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/test.conf", "[Service]\nRestart=no\n", 0o644, 0)
		n.MustRun("systemctl", "daemon-reload")
		n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", n.unit())
		n.MustRun("systemctl", "stop", strings.Replace(n.unit(), ".service", ".socket", 1))
		n.user.Systemctl("start", "later")
		n.user.Systemctl("stop", "stops")
		n.plain("plainlater", 3)
		n.user.MustRun("podman", "stop", "plainstops")
		n.MustRun("kill", "-9", strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", "fails")))
		n.WaitFor(10*time.Second, "the failure", func() bool {
			return n.user.Show("fails", "ActiveState")["ActiveState"] == "failed"
		})
		n.MustRun("journalctl", "--sync") // journald's own is every five minutes: a cut loses what is newer
		n.crash()
		n.wait()
		n.wantRunning("fails", "later", "plainlater", "plainstays", "stays")
	})
}

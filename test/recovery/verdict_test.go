package recovery

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
)

// record keeps the end of a boot's journal for the tests of internal/journal.
func (n *node) record(name string, match ...string) {
	n.t.Helper()
	if n.uid != 0 {
		return
	}
	artifact.Record(n.t, name, func() string {
		return n.Journal(append([]string{"-o", "json", "-n", "120", "--output-fields=" +
			"MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,_UID,_SYSTEMD_UNIT," +
			"UNIT,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,INVOCATION_ID,SHUTDOWN"}, match...)...)
	})
}

// wantCause checks the verdict's ending, cause and evidence, and that app runs.
func (n *node) wantCause(ending recover.Ending, cause recover.Cause) {
	n.t.Helper()
	n.wantVerdict(ending, cause)
	n.wantRunning("app")
}

// wantVerdict checks the verdict's ending and cause, and its evidence.
func (n *node) wantVerdict(ending recover.Ending, cause recover.Cause) {
	n.t.Helper()
	n.waitRecovered()
	var v recover.Verdict
	n.WaitFor(10*time.Second, "the verdict's cause", func() bool { // recovery does not wait for the journal
		st, err := n.status()
		v = st.Verdict
		return err == nil && strings.Contains(v.Reason, "; ")
	})
	if v.Ending != ending || v.Cause != cause {
		n.t.Errorf("the verdict is %s, cause %s (%s), want %s, cause %s",
			v.Ending, v.Cause, v.Reason, ending, cause)
	}
	if cause != recover.CauseUnknown && len(v.Evidence) == 0 {
		n.t.Errorf("%s: the verdict has no evidence", cause)
	}
	for _, e := range v.Evidence {
		// journald may still be renaming the files that the crash left: journalctl then shows another entry.
		n.WaitFor(10*time.Second, "the evidence at its cursor: "+e.Message, func() bool {
			entry := n.Journal("--cursor="+e.Cursor, "-n", "1", "-o", "cat")
			return strings.TrimSpace(entry) == strings.TrimSpace(e.Message)
		})
	}
}

// The verdict names each cause that a container machine can show.
func TestCauses(t *testing.T) {
	onBothInstances(t, "SoakSec=1\n", func(n *node) {
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.dropIn("test.conf", "[Service]\nWatchdogSec=3\n[Unit]\nStartLimitBurst=50\n")
		n.enable()
		n.waitSaved("app")

		boot := n.BootID()
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CausePowerLoss)
		n.record("power-loss", "_BOOT_ID="+boot)
		if list := n.cli("boots", "-n", "2"); !strings.Contains(line(list, boot), string(recover.CausePowerLoss)) {
			n.t.Errorf("boots prints\n%s", list)
		}
		log := n.Journal("-b", "-x", "MESSAGE_ID="+recover.MsgVerdict)
		if !strings.Contains(log, "How the last run ended: host-crash") {
			n.t.Errorf("journalctl -x does not explain the verdict:\n%s", log)
		}

		endDaemon := func(signal string, ending recover.Ending, cause recover.Cause, name string) {
			n.t.Helper()
			daemon := n.daemonPID()
			n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal="+signal, n.unit())
			n.waitNewDaemon(30*time.Second, daemon)
			n.wantCause(ending, cause)
			n.record(name, "-b", "_PID=1", "UNIT="+n.unit())
		}
		endDaemon("SIGKILL", recover.ServiceCrashed, recover.CauseSignal, "service-signal")
		// Go turns SIGSEGV into exit status 2.
		endDaemon("SIGSEGV", recover.ServiceCrashed, recover.CauseExit, "service-exit")
		endDaemon("SIGSTOP", recover.ServiceCrashed, recover.CauseWatchdog, "service-watchdog")

		// The daemon is killed, and the host shuts down cleanly.
		n.dropIn("test.conf", "[Service]\nRestart=no\n")
		n.MustRun("systemctl", "daemon-reload")
		boot = n.BootID()
		n.killDaemon()
		n.Reboot()
		n.wantCause(recover.HostCrashed, recover.CauseShutdown)
		n.record("clean-shutdown", "_BOOT_ID="+boot)

		// The journal is lost with the power.
		n.waitSoaked()
		n.WriteFile("/etc/systemd/journald.conf.d/volatile.conf", "[Journal]\nStorage=volatile\n", 0o644, 0)
		n.crash()
		n.waitSoaked()
		n.crash()
		n.wantCause(recover.HostCrashed, recover.CauseUnknown)

		// The journal is damaged.
		n.Remove("/etc/systemd/journald.conf.d/volatile.conf")
		n.waitSoaked()
		n.crash()
		n.waitSoaked()
		n.PullPlug()
		n.damageJournal()
		n.Boot()
		if v := n.waitRecovered().Verdict; v.Ending != recover.HostCrashed {
			n.t.Errorf("with a damaged journal the verdict is %+v", v)
		}
		n.wantRunning("app")
	})
}

// A soft reboot keeps the boot ID. Its count distinguishes it from a crash of the
// service. It also removes podman's store from the test machine, so this test has
// no containers.
func TestSoftReboot(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.dropIn("test.conf", "[Service]\nRestart=no\n")
		n.enable()
		boot := n.BootID()
		n.killDaemon()
		n.SoftReboot()
		n.WaitFor(20*time.Second, "the verdict's cause", func() bool {
			st, err := n.status()
			v := st.Verdict
			return err == nil && v.Ending == recover.HostCrashed && v.Cause == recover.CauseSoftBoot
		})
		if n.BootID() != boot {
			n.t.Errorf("the boot ID has changed, so this was no soft reboot")
		}
	})
}

// damageJournal overwrites the middle of each journal file of a machine that
// is off.
func (n *node) damageJournal() {
	n.t.Helper()
	machines, err := n.ReadDir("/var/log/journal")
	if err != nil || len(machines) == 0 {
		n.t.Fatalf("the machine has no journal: %v", err)
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

// From the journal, the daemon learns which containers were started and stopped
// while it was dead.
func TestChangesWhileDaemonDead(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		for _, name := range []string{"stays", "stops", "later", "fails"} {
			n.quadlet(name, 3, "", "")
		}
		n.user.Systemctl("start", "stays", "stops", "fails")
		n.plain("plainstays", 3)
		n.plain("plainstops", 3)
		n.enable()
		n.waitSaved("fails", "plainstays", "plainstops", "stays", "stops")

		n.dropIn("test.conf", "[Service]\nRestart=no\n")
		n.MustRun("systemctl", "daemon-reload")
		n.killDaemon()
		n.MustRun("systemctl", "stop", n.socketUnit())
		n.user.Systemctl("start", "later")
		n.user.Systemctl("stop", "stops")
		n.plain("plainlater", 3)
		n.user.MustRun("podman", "stop", "plainstops")
		n.MustRun("kill", "-9", n.pid("fails"))
		n.WaitFor(10*time.Second, "the failure", func() bool {
			return n.user.Show("fails", "ActiveState")["ActiveState"] == "failed"
		})
		n.MustRun("journalctl", "--sync") // journald itself syncs every five minutes
		n.crash()
		n.waitRecovered()
		n.wantRunning("fails", "later", "plainlater", "plainstays", "stays")
	})
}

package recovery

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A client that connects while the service is down waits, and is answered once
// systemd has started it.
func TestTheSocketStartsTheService(t *testing.T) {
	both(t, "", func(n *node) {
		n.enable()
		n.MustRun("systemctl", "stop", n.unit())
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state != "inactive" {
			n.t.Fatalf("the service is %s", state)
		}
		if st, err := n.status(); err != nil || st.PID == 0 {
			n.t.Errorf("status: %+v, %v", st, err)
		}
		n.wait()
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state == "inactive" {
			n.t.Error("something answered, but not the service")
		}
	})
}

// A second daemon on the same data directory refuses, with the PID of the
// first, and does not harm it.
func TestASecondDaemonRefuses(t *testing.T) {
	both(t, "", func(n *node) {
		n.enable()
		pid := n.Show(n.unit(), "MainPID")["MainPID"]
		_, err := n.user.Run(n.command("daemon")...)
		if err == nil || !strings.Contains(err.Error(), "exit status 69") || !strings.Contains(err.Error(), "PID "+pid) {
			n.t.Errorf("the second daemon: %v, want exit status 69 and PID %s", err, pid)
		}
		marker, err := n.ReadFile(n.data("archipelago.pid"))
		if err != nil || !strings.HasPrefix(marker, pid+"\n") {
			n.t.Errorf("the marker is %q, %v", marker, err)
		}
	})
}

// A stop and a start in order are no crash, nor is a restart.
func TestARestartIsNoCrash(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("one", 3, "", "")
		n.enable()
		n.user.Systemctl("start", "one")
		n.saved("one")
		n.MustRun("systemctl", "restart", n.unit())
		if st := n.wait(); st.Verdict.Ending != recover.EndedCleanly {
			n.t.Errorf("after a restart the verdict is %+v", st.Verdict)
		}
		n.wantRunning("one")
	})
}

// The set on disk follows what happens within a second.
func TestTheSnapshotFollows(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("q", 3, "", "")
		n.enable()
		follows := func(want ...string) {
			n.t.Helper()
			begin := time.Now()
			n.saved(want...)
			if took := time.Since(begin); took > 2*time.Second { // a second, and room for a busy machine
				n.t.Errorf("the snapshot of %q took %s", want, took)
			}
		}
		n.plain("p", 3)
		follows("p")
		n.user.Systemctl("start", "q")
		follows("p", "q")
		n.user.MustRun("podman", "stop", "p")
		follows("q")
		n.user.Systemctl("stop", "q")
		follows()
	})
}

// The node's own script runs after each recovery; its failure harms nothing.
func TestTheReconcileScriptRunsAfterRecovery(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("app", 3, "Notify=true\nExec=-ready-after 500ms", "")
		n.user.Systemctl("start", "app")
		n.WriteFile("/usr/local/lib/archy-recovery/reconcile", "#!/bin/sh\nid -u\npodman ps --format '{{.Names}}'\nexit 7\n", 0o755, 0)
		n.enable()
		n.saved("app")
		n.crash()
		n.wait()
		reconcile := strings.Replace(n.unit(), "archy-recovery", "archy-recovery-reconcile", 1)
		n.WaitFor(20*time.Second, "the script's end", func() bool {
			return n.Show(reconcile, "ActiveState")["ActiveState"] == "failed"
		})
		// By identifier: rootless podman moves itself out of the unit's cgroup.
		log := n.Journal("-b", "-o", "cat", "-t", "archy-recovery-reconcile")
		if !strings.Contains(log, fmt.Sprintf("%d\napp\n", n.uid)) {
			n.t.Errorf("the script, run as uid %d after recovery, said:\n%s", n.uid, log)
		}
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state != "active" {
			n.t.Errorf("the service is %s", state)
		}
	})
}

// Entries carry fields, and a MESSAGE_ID an event.
func TestTheJournalHasFields(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("one", 2, "", "")
		n.user.Systemctl("start", "one")
		n.enable()
		n.saved("one")
		n.crash()
		n.wait()
		var entry map[string]any
		line := n.Journal("-b", "-o", "json", "MESSAGE_ID="+recover.MsgUp, "CONTAINER=one")
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			n.t.Fatalf("%v in %q", err, line)
		}
		for field, want := range map[string]string{"UNIT": "one.service", "TIER": "2", "ATTEMPT": "1", "PRIORITY": "6"} {
			if entry[field] != want {
				n.t.Errorf("%s=%v, want %s", field, entry[field], want)
			}
		}
		n.wantLog("the last run ended badly")
	})
}

// A unit that is ordered after a target that waits for recovery cannot start
// before READY. Recovery must not wait for it, and it must start afterwards.
func TestAUnitThatIsOrderedAfterRecovery(t *testing.T) {
	t.Parallel()
	m := machine.Start(t)
	n := &node{m, t, 0, m.As(0)}
	n.Install(deb(t))
	n.quadlet("first", 1, "", "")
	n.Quadlet(0, "late.container", "[Unit]\nAfter=multi-user.target\n[Container]\nContainerName=late\nImage="+machine.Image+"\n")
	n.user.Systemctl("start", "first", "late")
	n.enable()
	n.saved("first", "late")
	n.crash()
	st := n.wait()
	n.wantStates(st, map[string]recover.RowState{"first": recover.RowUp, "late": recover.RowDeferred})
	if took := st.Finished.Sub(st.Started); took > 20*time.Second {
		t.Errorf("recovery took %s", took)
	}
	n.MustRun("systemctl", "start", "late") // waits for the job that is queued
	n.wantRunning("first", "late")
	n.saved("first", "late")
}

// A user's manager that is restarted takes its containers down. What ran comes
// back, once the daemon has noticed and been started again.
func TestAUserManagerThatRestarts(t *testing.T) {
	t.Parallel()
	m := machine.Start(t)
	n := &node{m, t, machine.User, m.As(machine.User)}
	n.Install(deb(t))
	n.running()
	n.quadlet("quad", 1, "", "")
	n.user.Systemctl("start", "quad")
	n.plain("plain", 2)
	n.enable()
	n.saved("plain", "quad")
	daemon := n.Show(n.unit(), "MainPID")["MainPID"]
	n.MustRun("systemctl", "restart", "user@1000.service")
	n.WaitFor(60*time.Second, "a new daemon", func() bool {
		now := n.Show(n.unit(), "MainPID", "ActiveState")
		return now["ActiveState"] == "active" && now["MainPID"] != daemon
	})
	n.wait()
	n.wantRunning("plain", "quad")
}

// While the manager executes itself anew it is off the bus: ends of jobs go
// unheard, and recovery must not wait for them.
func TestAManagerThatReexecutesDuringRecovery(t *testing.T) {
	both(t, "", func(n *node) {
		for i := range 6 {
			n.quadlet(fmt.Sprintf("slow%d", i), i/3, fmt.Sprintf("Notify=true\nExec=-ready-after %dms", 1000+200*i), "")
			n.user.Systemctl("start", fmt.Sprintf("slow%d", i))
		}
		n.enable()
		n.saved("slow0", "slow1", "slow2", "slow3", "slow4", "slow5")
		n.PullPlug()
		n.BootNoWait()
		n.WaitFor(30*time.Second, "the first starts", func() bool {
			st, err := n.status()
			return err == nil && states(st)["slow0"] == recover.RowStarting
		})
		for range 8 { // again and again, so that some end comes while it is away
			n.user.Systemctl("daemon-reexec")
		}
		st := n.wait()
		n.wantRunning("slow0", "slow1", "slow2", "slow3", "slow4", "slow5")
		if took := st.Finished.Sub(st.Started); took > 40*time.Second || len(st.Failed()) > 0 {
			n.t.Errorf("recovery took %s, failed %v", took, st.Failed())
		}
	})
}

// After recovery a container without a unit is podman's and its user's alone:
// it can be stopped, re-created and left to fail as before the crash.
func TestAPlainContainerIsItsUsersAgainAfterRecovery(t *testing.T) {
	both(t, "", func(n *node) {
		podman := func(args ...string) string {
			n.t.Helper()
			return n.user.MustRun(append([]string{"podman"}, args...)...)
		}
		for _, name := range []string{"tostop", "torecreate", "tofail", "tokill"} {
			podman("run", "--detach", "--stop-timeout=1", "--name", name, machine.Image, "-ignore-term")
		}
		n.quadlet("qstop", 3, "Exec=-ignore-term\nStopTimeout=1", "")
		n.user.Systemctl("start", "qstop")
		n.enable()
		n.saved("qstop", "tofail", "tokill", "torecreate", "tostop")
		n.crash()
		st := n.wait()
		n.wantRunning("qstop", "tofail", "tokill", "torecreate", "tostop")
		for _, row := range st.Containers {
			if row.Generated != (row.Name != "qstop") {
				n.t.Errorf("%+v", row)
			}
		}

		podman("stop", "tostop") // ends with 137
		podman("kill", "tokill")
		podman("rm", "--force", "--time=0", "torecreate")
		podman("run", "--detach", "--name", "torecreate", machine.Image)
		n.MustRun("kill", "-9", strings.TrimSpace(podman("inspect", "--format", "{{.State.Pid}}", "tofail")))
		_, _ = n.user.Run(append(map[bool][]string{true: {"systemctl"}, false: {"systemctl", "--user"}}[n.uid == 0], "stop", "qstop")...)
		// What was stopped leaves the set, what failed stays in it.
		n.saved("tofail", "torecreate")
		n.wantRunning("torecreate")
		n.crash()
		n.wait()
		n.wantRunning("tofail", "torecreate")
	})
}

// An upgrade, or a restart by hand, starts nothing and forgets nothing.
func TestARestartInTheSameBoot(t *testing.T) {
	both(t, "CleanBootList=stopped", func(n *node) {
		for _, name := range []string{"lives", "fails", "stopped"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.enable()
		n.saved("fails", "lives", "stopped")
		n.user.Systemctl("stop", "stopped")
		n.MustRun("kill", "-9", strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", "fails")))
		n.saved("fails", "lives")
		n.Install(deb(n.t))
		n.wait()
		n.MustRun("systemctl", "restart", n.unit())
		n.wait()
		n.wantRunning("lives")
		n.saved("fails", "lives")
		n.crash()
		n.wait()
		n.wantRunning("fails", "lives")
	})
}

// The daemon dies while the operator stops one container and restarts another,
// both of which take their time to stop: both are as the operator wants them.
func TestACrashWhileSomeoneStops(t *testing.T) {
	both(t, "", func(n *node) {
		for _, name := range []string{"stopped", "restarted"} {
			n.quadlet(name, 1, "Exec=-ignore-term\nStopTimeout=6", "")
		}
		n.user.Systemctl("start", "stopped", "restarted")
		n.enable()
		n.saved("stopped", "restarted")
		before := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", "restarted"))
		n.user.Systemctl("stop", "--no-block", "stopped")
		n.user.Systemctl("restart", "--no-block", "restarted")
		for _, unit := range []string{"stopped.service", "restarted.service"} {
			n.WaitFor(10*time.Second, unit+" to be stopped", func() bool {
				return n.user.Show(unit, "ActiveState")["ActiveState"] == "deactivating"
			})
		}
		daemon := n.Show(n.unit(), "MainPID")["MainPID"]
		n.MustRun("kill", "-KILL", daemon)
		n.WaitFor(60*time.Second, "the recovery", func() bool {
			st, err := n.status()
			return err == nil && st.RecoveryComplete && strconv.Itoa(st.PID) != daemon
		})
		n.WaitFor(30*time.Second, "the end of the stop", func() bool {
			return n.user.Show("stopped.service", "ActiveState")["ActiveState"] != "deactivating"
		})
		n.saved("restarted")
		n.wantRunning("restarted")
		if after := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", "restarted")); after == before {
			t.Error("nobody restarted it")
		}
	})
}

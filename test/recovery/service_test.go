package recovery

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// A client that connects while the service is inactive gets an answer as soon as
// systemd has started the service.
func TestSocketActivation(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.enable()
		n.MustRun("systemctl", "stop", n.unit())
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state != "inactive" {
			n.t.Fatalf("the service is %s", state)
		}
		if st, err := n.status(); err != nil || st.PID == 0 {
			n.t.Errorf("status: %+v, %v", st, err)
		}
		n.waitRecovered()
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state == "inactive" {
			n.t.Error("a client got an answer, and the service is inactive")
		}
	})
}

// A second daemon on the same data directory ends with an error that names the PID
// of the first. The first goes on.
func TestSecondDaemonRefused(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.enable()
		pid := n.daemonPID()
		_, err := n.user.Run(n.command("daemon")...)
		if err == nil || !strings.Contains(err.Error(), "exit status 69") || !strings.Contains(err.Error(), "PID "+pid) {
			n.t.Errorf("the second daemon: %v, want exit status 69 and PID %s", err, pid)
		}
		marker, err := n.ReadFile(n.dataFile("archipelago.pid"))
		if err != nil || !strings.HasPrefix(marker, pid+"\n") {
			n.t.Errorf("the marker is %q, %v", marker, err)
		}
	})
}

// A restart of the service counts as a clean stop.
func TestServiceRestartIsCleanStop(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("one", 3, "", "")
		n.enable()
		n.user.Systemctl("start", "one")
		n.waitSaved("one")
		n.MustRun("systemctl", "restart", n.unit())
		if st := n.waitRecovered(); st.Verdict.Ending != recover.EndedCleanly {
			n.t.Errorf("after a restart the verdict is %+v", st.Verdict)
		}
		n.wantRunning("one")
	})
}

// The snapshot on the disk follows changes within a second.
func TestSnapshotFollowsChanges(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("q", 3, "", "")
		n.enable()
		follows := func(want ...string) {
			n.t.Helper()
			begin := time.Now()
			n.waitSaved(want...)
			if took := time.Since(begin); took > 2*time.Second { // a second, and a margin for a busy machine
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

// The operator's reconcile script runs after each recovery. Its failure has no
// effect on the service.
func TestReconcileScript(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("app", 3, "Notify=true\nExec=-ready-after 500ms", "")
		n.user.Systemctl("start", "app")
		n.WriteFile("/usr/local/lib/archy-recovery/reconcile",
			"#!/bin/sh\nid -u\npodman ps --format '{{.Names}}'\nexit 7\n", 0o755, 0)
		n.enable()
		n.waitSaved("app")
		n.crash()
		n.waitRecovered()
		reconcile := n.relatedUnit("reconcile")
		n.WaitFor(20*time.Second, "the script's end", func() bool {
			return n.Show(reconcile, "ActiveState")["ActiveState"] == "failed"
		})
		// Rootless podman leaves the unit's cgroup, so a match by unit would miss it.
		log := n.Journal("-b", "-o", "cat", "-t", "archy-recovery-reconcile")
		if !strings.Contains(log, fmt.Sprintf("%d\napp\n", n.uid)) {
			n.t.Errorf("the script's output, as uid %d after recovery, is:\n%s", n.uid, log)
		}
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state != "active" {
			n.t.Errorf("the service is %s", state)
		}
	})
}

// Journal entries have fields, and a MESSAGE_ID for each kind of event.
func TestJournalFields(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("one", 2, "", "")
		n.user.Systemctl("start", "one")
		n.enable()
		n.waitSaved("one")
		n.crash()
		n.waitRecovered()
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

// A unit is ordered after a target that waits for recovery, so it cannot start
// before READY. Recovery must not wait for it. It must start afterwards.
func TestUnitOrderedAfterRecovery(t *testing.T) {
	t.Parallel()
	m := machine.Start(t)
	n := &node{m, t, 0, m.As(0)}
	n.Install(artifact.Package(t))
	n.quadlet("first", 1, "", "")
	n.Quadlet(0, "late.container",
		"[Unit]\nAfter=multi-user.target\n[Container]\nContainerName=late\nImage="+machine.Image+"\n")
	n.user.Systemctl("start", "first", "late")
	n.enable()
	n.waitSaved("first", "late")
	n.crash()
	st := n.waitRecovered()
	n.wantStates(st, map[string]recover.RowState{"first": recover.RowUp, "late": recover.RowDeferred})
	if took := st.Finished.Sub(st.Started); took > 20*time.Second {
		t.Errorf("recovery took %s", took)
	}
	n.MustRun("systemctl", "start", "late") // waits for the queued job
	n.wantRunning("first", "late")
	n.waitSaved("first", "late")
}

// A restart of a user's manager ends its containers. The daemon notices, ends, and
// is started again. Then the same containers run again.
func TestUserManagerRestart(t *testing.T) {
	t.Parallel()
	m := machine.Start(t)
	n := &node{m, t, machine.User, m.As(machine.User)}
	n.Install(artifact.Package(t))
	n.networkOnline()
	n.runFirstPodman()
	n.quadlet("quad", 1, "", "")
	n.user.Systemctl("start", "quad")
	n.plain("plain", 2)
	n.enable()
	n.waitSaved("plain", "quad")
	daemon := n.daemonPID()
	n.MustRun("systemctl", "restart", "user@1000.service")
	n.waitNewDaemon(60*time.Second, daemon)
	n.waitRecovered()
	n.wantRunning("plain", "quad")
}

// A manager that re-executes itself leaves the bus for a moment, and the ends of
// jobs are lost then. Recovery must not wait for them.
func TestManagerReexecDuringRecovery(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		for i := range 6 {
			n.quadlet(fmt.Sprintf("slow%d", i), i/3,
				fmt.Sprintf("Notify=true\nExec=-ready-after %dms", 1000+200*i), "")
			n.user.Systemctl("start", fmt.Sprintf("slow%d", i))
		}
		n.enable()
		n.waitSaved("slow0", "slow1", "slow2", "slow3", "slow4", "slow5")
		n.PullPlug()
		n.BootNoWait()
		n.WaitFor(30*time.Second, "the first starts", func() bool {
			st, err := n.status()
			return err == nil && states(st)["slow0"] == recover.RowStarting
		})
		for range 8 { // repeated, so that at least one job ends while the manager is off the bus
			n.user.Systemctl("daemon-reexec")
		}
		st := n.waitRecovered()
		n.wantRunning("slow0", "slow1", "slow2", "slow3", "slow4", "slow5")
		if took := st.Finished.Sub(st.Started); took > 40*time.Second || len(st.NotRecovered()) > 0 {
			n.t.Errorf("recovery took %s, not recovered %v", took, st.NotRecovered())
		}
	})
}

// After recovery only podman and its user control a container without a unit. They
// can stop it and make it anew, and it can fail, as before the crash.
func TestPlainContainerAfterRecovery(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
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
		n.waitSaved("qstop", "tofail", "tokill", "torecreate", "tostop")
		n.crash()
		st := n.waitRecovered()
		n.wantRunning("qstop", "tofail", "tokill", "torecreate", "tostop")
		for _, row := range st.Containers {
			if row.Generated != (row.Name != "qstop") {
				n.t.Errorf("%+v", row)
			}
		}
		// Their conmon is where it is after a podman start from a shell, and not in the unit.
		conmon := strings.TrimSpace(podman("inspect", "--format", "{{.State.ConmonPid}}", "tofail"))
		if cgroup := n.MustRun("cat", "/proc/"+conmon+"/cgroup"); !strings.Contains(cgroup, "/libpod-conmon-") {
			n.t.Errorf("conmon is in %s", cgroup)
		}

		podman("stop", "tostop") // exit code 137
		podman("kill", "tokill")
		podman("rm", "--force", "--time=0", "torecreate")
		podman("run", "--detach", "--name", "torecreate", machine.Image)
		n.MustRun("kill", "-9", strings.TrimSpace(podman("inspect", "--format", "{{.State.Pid}}", "tofail")))
		_, _ = n.user.Run("systemctl", n.scope(), "stop", "qstop") // fails: it must be killed
		// Stopped containers leave the snapshot, and failed ones stay in it.
		n.waitSaved("tofail", "torecreate")
		n.wantRunning("torecreate")
		n.crash()
		n.waitRecovered()
		n.wantRunning("tofail", "torecreate")
	})
}

// An upgrade or a restart of the service starts no container, and the snapshot
// keeps failed ones.
func TestServiceRestartInSameBoot(t *testing.T) {
	onBothInstances(t, "CleanBootList=stopped", func(n *node) {
		for _, name := range []string{"lives", "fails", "stopped"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.enable()
		n.waitSaved("fails", "lives", "stopped")
		n.user.Systemctl("stop", "stopped")
		n.MustRun("kill", "-9", n.pid("fails"))
		n.waitSaved("fails", "lives")
		n.Install(artifact.Package(n.t))
		n.waitRecovered()
		n.MustRun("systemctl", "restart", n.unit())
		n.waitRecovered()
		n.wantRunning("lives")
		n.waitSaved("fails", "lives")
		n.crash()
		n.waitRecovered()
		n.wantRunning("fails", "lives")
	})
}

// The daemon is killed while the operator stops one container and restarts another.
// Both stops are slow. Afterwards both containers are as the operator wants.
func TestDaemonKilledDuringStop(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		for _, name := range []string{"stopped", "restarted"} {
			n.quadlet(name, 1, "Exec=-ignore-term\nStopTimeout=6", "")
		}
		n.user.Systemctl("start", "stopped", "restarted")
		n.enable()
		n.waitSaved("stopped", "restarted")
		before := n.pid("restarted")
		n.user.Systemctl("stop", "--no-block", "stopped")
		n.user.Systemctl("restart", "--no-block", "restarted")
		for _, unit := range []string{"stopped.service", "restarted.service"} {
			n.WaitFor(10*time.Second, unit+" to be stopped", func() bool {
				return n.user.Show(unit, "ActiveState")["ActiveState"] == "deactivating"
			})
		}
		daemon := n.daemonPID()
		n.MustRun("kill", "-KILL", daemon)
		n.WaitFor(60*time.Second, "the recovery", func() bool {
			st, err := n.status()
			return err == nil && st.RecoveryComplete && strconv.Itoa(st.PID) != daemon
		})
		n.WaitFor(30*time.Second, "the end of the stop", func() bool {
			return n.user.Show("stopped.service", "ActiveState")["ActiveState"] != "deactivating"
		})
		n.waitSaved("restarted")
		n.wantRunning("restarted")
		if n.pid("restarted") == before {
			t.Error("the container was not restarted")
		}
	})
}

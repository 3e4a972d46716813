package recovery

import (
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// trap has a start of the container name cut the machine's power, while the
// file /var/tmp/armed is there. It returns lines for its [Service].
func (n *node) trap() string {
	n.WriteFile("/etc/systemd/system/plug.path", "[Path]\nPathExists=/run/plug\nPathExists=/run/user/1000/plug\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	n.WriteFile("/etc/systemd/system/plug.service", "[Service]\nExecStart=/usr/bin/systemctl poweroff -ff\n", 0o644, 0)
	n.MustRun("systemctl", "daemon-reload")
	n.MustRun("systemctl", "enable", "--now", "plug.path")
	return "ExecStartPost=/bin/sh -c 'test ! -e /var/tmp/armed || touch %t/plug'"
}

func (n *node) arm() { n.WriteFile("/var/tmp/armed", "", 0o644, 0) }

// A container that takes the machine down whenever it is started costs the
// others two more crashes at most.
func TestAContainerThatPullsThePlug(t *testing.T) {
	both(t, "SoakSec=4\nProbationSec=2\n", func(n *node) {
		for tier, name := range []string{"sql", "evil", "web", "shop"} {
			service := ""
			if name == "evil" {
				service = n.trap()
			}
			n.quadlet(name, tier, "", service)
			n.user.Systemctl("start", name)
		}
		n.enable()
		n.saved("sql", "evil", "shop", "web")
		n.arm()
		n.PullPlug()

		crashes := 0
		var st control.Status
		for {
			n.BootNoWait()
			if n.lives(6 * time.Second) {
				st = n.wait()
				break
			}
			n.WaitOff()
			if crashes++; crashes > 3 {
				n.t.Fatal("it crashes on and on")
			}
		}
		n.t.Logf("%d crashes, verdict %+v", crashes, st.Verdict.Cause)
		if crashes == 0 {
			n.t.Fatal("the trap did not work")
		}
		n.wantRunning("sql", "shop", "web")
		n.wantStates(st, map[string]recover.RowState{
			"sql": recover.RowUp, "web": recover.RowUp, "shop": recover.RowUp, "evil": recover.RowQuarantined})
		if list, err := n.ReadFile(n.data("user-stopped.json")); err != nil || !strings.Contains(list, `"evil"`) {
			n.t.Errorf("the user-stopped list is %q, %v: a health monitor would start it", list, err)
		}
		if out := n.cli("quarantine", "list"); !strings.Contains(out, "evil") || !strings.Contains(out, "quarantined") {
			n.t.Errorf("quarantine list says\n%s", out)
		}
		if out := n.cli("status"); !strings.Contains(out, "archy-recovery quarantine release evil") {
			n.t.Errorf("status does not say what to do:\n%s", out)
		}
		n.wantLog("quarantined: the host crashed")

		// It is mended, and released: the next crash brings it back.
		n.Remove("/var/tmp/armed")
		n.cli("quarantine", "release", "evil")
		if list, _ := n.ReadFile(n.data("user-stopped.json")); strings.Contains(list, "evil") {
			n.t.Errorf("the user-stopped list is still %q", list)
		}
		n.crash()
		n.wait()
		n.wantRunning("sql", "evil", "shop", "web")
	})
}

// lives waits for as long as recovery, and then d, and reports whether the
// machine is still on.
func (n *node) lives(d time.Duration) bool {
	n.t.Helper()
	complete := func() bool {
		out, _ := n.Run(n.command("wait", "--timeout=90s")...) // fails until there is a socket
		return strings.Contains(out, "complete")
	}
	n.WaitFor(2*time.Minute, "recovery, or the machine's end", func() bool { return !n.IsOn() || complete() })
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !n.IsOn() {
			return false
		}
	}
	return true
}

// archy.recovery= on the kernel command line. The machine shares its kernel
// with the host, so the service is shown another command line.
func TestTheKernelCommandLine(t *testing.T) {
	both(t, "ProbationSec=2\n", func(n *node) {
		boot := func(line string) control.Status {
			n.t.Helper()
			n.WriteFile("/etc/cmdline", line+"\n", 0o644, 0)
			n.crash()
			return n.wait()
		}
		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/50-cmdline.conf", "[Service]\nBindReadOnlyPaths=/etc/cmdline:/proc/cmdline\n", 0o644, 0)
		n.WriteFile("/etc/cmdline", "quiet\n", 0o644, 0)
		n.MustRun("systemctl", "daemon-reload")
		n.quadlet("sql", 0, "", "")
		n.quadlet("web", 3, "", "")
		n.user.Systemctl("start", "sql", "web")
		n.enable()
		n.saved("sql", "web")

		st := boot("quiet archy.recovery=off")
		n.wantRunning()
		n.wantStates(st, map[string]recover.RowState{"sql": recover.RowHeld, "web": recover.RowHeld})
		if !strings.Contains(n.cli("status"), "archy.recovery=off is on the kernel command line") {
			n.t.Error("status does not say why nothing is started")
		}

		st = boot("archy.recovery=safe")
		n.wantRunning("sql", "web")
		if took := st.Finished.Sub(st.Started); took < 4*time.Second {
			n.t.Errorf("safe recovery took %s: not one at a time, with a probation each", took)
		}
		first := slices.IndexFunc(st.Containers, func(r recover.Row) bool { return r.Name == "sql" })
		if !st.Containers[first].Alone {
			n.t.Errorf("sql was not started alone: %+v", st.Containers[first])
		}
	})
}

// A recovery that kills the daemon again and again ends it, and not the host:
// the marker and the set stand, and status says what to do.
func TestARecoveryThatKillsTheDaemon(t *testing.T) {
	both(t, "", func(n *node) {
		if n.uid != 0 {
			n.t.Skip("the user's containers cannot kill it")
		}
		n.quadlet("killer", 0, "", "ExecStartPre=/bin/sh -c 'test ! -e /var/tmp/armed || { systemctl kill --kill-whom=main -s KILL "+n.unit()+"; exit 1; }'")
		n.user.Systemctl("start", "killer")
		n.enable()
		n.saved("killer")
		n.arm()
		n.crash()
		n.WaitFor(60*time.Second, "the start limit", func() bool { return n.Show("archy-recovery.socket", "Result")["Result"] == "service-start-limit-hit" })
		if state := n.Show("multi-user.target", "ActiveState")["ActiveState"]; state != "active" {
			n.t.Errorf("the host did not boot on: multi-user.target is %s", state)
		}
		if _, err := n.ReadFile(n.data("archipelago.pid")); err != nil {
			n.t.Errorf("the marker is gone: %v", err)
		}
		n.saved("killer")
		_, err := n.Run(n.command("status")...)
		if err == nil || !strings.Contains(err.Error(), "exit status 5") || !strings.Contains(err.Error(), "systemctl reset-failed "+n.unit()) {
			n.t.Errorf("status says %v, and not what to do", err)
		}
		n.Remove("/var/tmp/armed")
		n.MustRun("systemctl", "reset-failed", n.unit(), "archy-recovery.socket")
		n.MustRun("systemctl", "start", n.unit())
		if st := n.wait(); st.Verdict.Ending != recover.ServiceCrashed {
			n.t.Errorf("the verdict is %+v", st.Verdict)
		}
		n.wantRunning("killer")
	})
}

// A container that needs a path on a mount that comes late waits for it; others
// need not wait for longer than a tier may.
func TestAMountThatComesLate(t *testing.T) {
	both(t, "TierDeadlineSec=3\n", func(n *node) {
		// A mount whose device comes when someone makes it, as a disk that is slow.
		n.WriteFile("/etc/systemd/system/mnt-data.mount", "[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere=/mnt/data\n", 0o644, 0)
		n.MustRun("mkdir", "-p", "/mnt/data")
		n.MustRun("systemctl", "daemon-reload")
		n.MustRun("systemctl", "start", "mnt-data.mount")
		n.user.MustRun("podman", "run", "--detach", "--name", "node", "--label", recover.TierLabel+"=0", "--volume", "/mnt/data:/data", machine.Image)
		n.quadlet("web", 3, "", "")
		n.user.Systemctl("start", "web")
		// Something that has it known, as fstab's would be by local-fs.target.
		n.WriteFile("/etc/systemd/system/dummy.service", "[Unit]\nAfter=mnt-data.mount\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
		n.MustRun("systemctl", "enable", "dummy")
		n.enable()
		n.saved("node", "web")
		n.PullPlug()
		n.BootNoWait() // the boot is not over before recovery is
		var st control.Status
		n.WaitFor(60*time.Second, "web, beside what waits", func() bool {
			st, _ = n.status()
			return states(st)["web"] == recover.RowUp
		})
		if states(st)["node"] != recover.RowWaiting || st.RecoveryComplete {
			n.t.Fatalf("the states are %v", states(st))
		}
		for _, row := range st.Containers {
			if row.Name == "node" && !strings.Contains(row.Error, "/mnt/data is not mounted") {
				n.t.Errorf("it waits for %q", row.Error)
			}
		}
		n.MustRun("systemctl", "start", "mnt-data.mount")
		if st := n.wait(); len(st.Failed()) > 0 {
			n.t.Errorf("failed: %+v", st.Failed())
		}
		n.wantRunning("node", "web")
	})
}

// WaitFor=healthy: the next tier waits for the health check.
func TestATierWaitsForHealth(t *testing.T) {
	both(t, "WaitFor=healthy\n", func(n *node) {
		n.quadlet("sql", 0, "HealthCmd=[\"/testapp\",\"-check-age\",\"3s\"]\nHealthInterval=1s", "")
		n.quadlet("web", 3, "", "")
		n.user.Systemctl("start", "sql", "web")
		n.enable()
		n.saved("sql", "web")
		n.crash()
		st := n.wait()
		n.wantRunning("sql", "web")
		byName := map[string]recover.Row{}
		for _, row := range st.Containers {
			byName[row.Name] = row
		}
		if took := byName["sql"].Took(); took < 2*time.Second {
			n.t.Errorf("sql was up after %s, before it was healthy", took)
		}
		if byName["web"].Started().Before(byName["sql"].Ended()) {
			n.t.Error("web was started before sql was healthy")
		}
	})
}

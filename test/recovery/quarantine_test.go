package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// trap returns lines for the [Service] of a container. With them, each start of the
// container cuts the machine's power while the file /var/tmp/armed exists.
func (n *node) trap() string {
	// A watch that begins before the mount of /run/user/1000 would not see the file in
	// it, so the path unit starts after that mount.
	n.WriteFile("/etc/systemd/system/plug.path",
		"[Unit]\nDefaultDependencies=no\nAfter=user-runtime-dir@1000.service\n"+
			"[Path]\nPathExists=/run/plug\nPathExists=/run/user/1000/plug\n"+
			"[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	n.WriteFile("/etc/systemd/system/plug.service", "[Service]\nExecStart=/usr/bin/systemctl poweroff -ff\n", 0o644, 0)
	n.MustRun("systemctl", "daemon-reload")
	n.MustRun("systemctl", "enable", "--now", "plug.path")
	return "ExecStartPost=/bin/sh -c 'test ! -e /var/tmp/armed || touch %t/plug'"
}

// arm makes the trap work.
func (n *node) arm() { n.WriteFile("/var/tmp/armed", "", 0o644, 0) }

// A container that crashes the machine at each start, as a power loss would, causes at
// most three more crashes. Then it is quarantined, and the others run. The soak is short,
// so that the groups are; each is still told from the next.
func TestContainerCrashesHost(t *testing.T) {
	onBothInstances(t, quarantineConf+"ParoleSec=no\n", func(n *node) {
		for tier, name := range []string{"sql", "evil", "web", "shop"} {
			service := ""
			if name == "evil" {
				service = n.trap()
			}
			n.quadlet(name, tier, "", service)
			n.user.Systemctl("start", name)
		}
		n.enable()
		n.waitSaved("sql", "evil", "shop", "web")
		n.arm()
		n.PullPlug()

		crashes := 0
		var st control.Status
		for {
			n.BootNoWait()
			if n.staysOn(6 * time.Second) {
				st = n.waitRecovered()
				break
			}
			n.WaitOff()
			if crashes++; crashes > 4 {
				n.t.Fatalf("the machine crashed %d times", crashes)
			}
		}
		n.t.Logf("%d crashes, verdict %+v", crashes, st.Verdict.Cause)
		if crashes == 0 {
			n.t.Fatal("the trap did not work")
		}
		n.wantRunning("sql", "shop", "web")
		n.wantStates(st, map[string]recover.RowState{
			"sql": recover.RowUp, "web": recover.RowUp, "shop": recover.RowUp, "evil": recover.RowQuarantined})
		if list, err := n.ReadFile(n.dataFile("user-stopped.json")); err != nil || !strings.Contains(list, `"evil"`) {
			n.t.Errorf("the user-stopped list is %q, %v, so a health monitor would start the container", list, err)
		}
		n.wantListed("evil quarantined", "when it is released", "SUSPECTS ALSO IN FLIGHT", "evil sql")
		if out := n.cli("status"); !strings.Contains(out, "archy-recovery quarantine release evil") {
			n.t.Errorf("status does not say what to do:\n%s", out)
		}
		n.wantLog("quarantined: the host crashed")

		if n.uid == 0 {
			n.paroles()
			return
		}
		// The container is repaired and released. After the next crash it runs again.
		n.Remove("/var/tmp/armed")
		n.cli("quarantine", "release", "evil")
		if list, _ := n.ReadFile(n.dataFile("user-stopped.json")); strings.Contains(list, "evil") {
			n.t.Errorf("the user-stopped list is still %q", list)
		}
		n.crash()
		n.waitRecovered()
		n.wantRunning("sql", "evil", "shop", "web")
	})
}

// quarantineConf has a culprit found soon: each crash is followed by up to three soaks.
const quarantineConf = "SoakSec=4\nProbationSec=2\n"

// paroles gives the container two tries on parole. At the first one it still takes the host
// down, and stays in quarantine. At the second one it has been mended, and is let go.
func (n *node) paroles() {
	n.t.Helper()
	n.configure(quarantineConf + "ParoleSec=1 15\n")
	n.MustRun("systemctl", "restart", n.unit()) // the host has lived for more than a second
	n.WaitOff()
	n.BootNoWait()
	st := n.waitRecovered()
	n.Remove("/var/tmp/armed")
	n.wantStates(st, map[string]recover.RowState{
		"sql": recover.RowUp, "web": recover.RowUp, "shop": recover.RowUp, "evil": recover.RowQuarantined})
	n.wantRunning("sql", "shop", "web")
	evil, _ := n.quarantine().Suspects.Find("evil")
	if until := evil.NextTry.Sub(st.Finished); evil.Paroles != 1 || until < 14*time.Second || until > 17*time.Second {
		n.t.Errorf("the next try is %s after READY: %+v", until, evil)
	}
	n.wantListed("evil quarantined", evil.NextTry.Local().Format(":04:05"), "after 8 more soaks, from its next try on")
	n.WaitFor(time.Minute, "evil to be let go", func() bool {
		st, err := n.status()
		return err == nil && states(st)["evil"] == recover.RowUp
	})
	n.wantRunning("sql", "evil", "shop", "web")
	n.wantListed("evil suspect", "at the next recovery", "1 of 8")
	if list, _ := n.ReadFile(n.dataFile("user-stopped.json")); strings.Contains(list, "evil") {
		n.t.Errorf("the user-stopped list is still %q", list)
	}
	n.wantLog("released from quarantine: it was started on parole, and the host lives")
}

// wantListed checks that quarantine list prints each of these words, whatever the space
// between them.
func (n *node) wantListed(words ...string) {
	n.t.Helper()
	out := n.cli("quarantine", "list")
	for _, want := range words {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			n.t.Errorf("quarantine list does not say %q:\n%s", want, out)
		}
	}
}

// staysOn waits for the end of recovery and then for d. It reports whether the
// machine is still on.
func (n *node) staysOn(d time.Duration) bool {
	n.t.Helper()
	complete := func() bool {
		out, _ := n.Run(n.command("wait", "--timeout=90s")...) // fails until the socket exists
		return strings.Contains(out, "complete")
	}
	n.WaitFor(2*time.Minute, "recovery or the machine's end", func() bool { return !n.IsOn() || complete() })
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !n.IsOn() {
			return false
		}
	}
	return true
}

// archy.recovery= on the kernel command line turns recovery off or makes it safe.
// The machine shares the host's kernel, so a bind mount gives the service another
// command line.
func TestKernelCommandLine(t *testing.T) {
	onBothInstances(t, "ProbationSec=2\n", func(n *node) {
		boot := func(line string) control.Status {
			n.t.Helper()
			n.WriteFile("/etc/cmdline", line+"\n", 0o644, 0)
			n.crash()
			return n.waitRecovered()
		}
		n.dropIn("50-cmdline.conf", "[Service]\nBindReadOnlyPaths=/etc/cmdline:/proc/cmdline\n")
		n.WriteFile("/etc/cmdline", "quiet\n", 0o644, 0)
		n.MustRun("systemctl", "daemon-reload")
		n.quadlet("sql", 0, "", "")
		n.quadlet("web", 3, "", "")
		n.user.Systemctl("start", "sql", "web")
		n.enable()
		n.waitSaved("sql", "web")

		st := boot("quiet archy.recovery=off")
		n.wantRunning()
		n.wantStates(st, map[string]recover.RowState{"sql": recover.RowHeld, "web": recover.RowHeld})
		if !strings.Contains(n.cli("status"), "archy.recovery=off is on the kernel command line") {
			n.t.Error("status does not say why no container is started")
		}

		st = boot("archy.recovery=safe")
		n.wantRunning("sql", "web")
		if took := st.Finished.Sub(st.Started); took < 4*time.Second {
			n.t.Errorf("safe recovery took %s, too short for single starts with a probation each", took)
		}
		first := slices.IndexFunc(st.Containers, func(r recover.Row) bool { return r.Name == "sql" })
		if !st.Containers[first].Alone {
			n.t.Errorf("sql was not started alone: %+v", st.Containers[first])
		}
	})
}

// If recovery kills the daemon again and again, systemd gives up on the daemon, and
// the host boots on. Marker and snapshot stay, and status says what to do.
func TestRecoveryKillsDaemon(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		if n.uid != 0 {
			n.t.Skip("the user's containers cannot kill the daemon")
		}
		n.quadlet("killer", 0, "", "ExecStartPre=/bin/sh -c 'test ! -e /var/tmp/armed || "+
			"{ systemctl kill --kill-whom=main -s KILL "+n.unit()+"; exit 1; }'")
		n.user.Systemctl("start", "killer")
		n.enable()
		n.waitSaved("killer")
		n.arm()
		n.crash()
		n.WaitFor(60*time.Second, "the start limit", func() bool {
			return n.Show("archy-recovery.socket", "Result")["Result"] == "service-start-limit-hit"
		})
		if state := n.Show("multi-user.target", "ActiveState")["ActiveState"]; state != "active" {
			n.t.Errorf("the host's boot did not end: multi-user.target is %s", state)
		}
		if _, err := n.ReadFile(n.dataFile("archipelago.pid")); err != nil {
			n.t.Errorf("the marker is gone: %v", err)
		}
		n.waitSaved("killer")
		_, err := n.Run(n.command("status")...)
		if err == nil || !strings.Contains(err.Error(), "exit status 5") ||
			!strings.Contains(err.Error(), "systemctl reset-failed "+n.unit()) {
			n.t.Errorf("status does not say what to do: %v", err)
		}
		n.Remove("/var/tmp/armed")
		n.MustRun("systemctl", "reset-failed", n.unit(), "archy-recovery.socket")
		n.MustRun("systemctl", "start", n.unit())
		if st := n.waitRecovered(); st.Verdict.Ending != recover.ServiceCrashed {
			n.t.Errorf("the verdict is %+v", st.Verdict)
		}
		n.wantRunning("killer")
	})
}

// A container whose volume is on a late mount waits for the mount. The others wait
// at most for the deadline of the tier.
func TestLateMount(t *testing.T) {
	onBothInstances(t, "TierDeadlineSec=3\n", func(n *node) {
		// Like a slow disk, this mount comes only when the test starts it.
		n.WriteFile("/etc/systemd/system/mnt-data.mount",
			fmt.Sprintf("[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere=/mnt/data\nOptions=uid=%[1]d,gid=%[1]d\n", n.uid), 0o644, 0)
		n.MustRun("mkdir", "-p", "/mnt/data")
		n.MustRun("systemctl", "daemon-reload")
		n.MustRun("systemctl", "start", "mnt-data.mount")
		n.user.MustRun("podman", "run", "--detach", "--name", "node", "--label", recover.TierLabel+"=0",
			"--volume", "/mnt/data:/data", machine.Image)
		n.user.MustRun("podman", "volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/mnt/data",
			"late")
		n.plainWith("named", 0, "--volume", "late:/data")
		n.quadlet("web", 3, "", "")
		n.user.Systemctl("start", "web")
		// This unit makes systemd load the mount unit, as local-fs.target does for a
		// mount of /etc/fstab.
		n.WriteFile("/etc/systemd/system/dummy.service", "[Unit]\nAfter=mnt-data.mount\n[Service]\nType=oneshot\n"+
			"RemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
		n.MustRun("systemctl", "enable", "dummy")
		n.enable()
		n.waitSaved("named", "node", "web")
		n.PullPlug()
		n.BootNoWait() // the boot does not end before recovery
		var st control.Status
		n.WaitFor(60*time.Second, "web to be up while node waits", func() bool {
			st, _ = n.status()
			return states(st)["web"] == recover.RowUp
		})
		if states(st)["node"] != recover.RowWaiting || states(st)["named"] != recover.RowWaiting || st.RecoveryComplete {
			n.t.Fatalf("the states are %v", states(st))
		}
		for _, row := range st.Containers {
			if row.Name == "node" && !strings.Contains(row.Error, "/mnt/data is not mounted") {
				n.t.Errorf("node waits for %q", row.Error)
			}
		}
		n.MustRun("systemctl", "start", "mnt-data.mount")
		if st := n.waitRecovered(); len(st.NotRecovered()) > 0 {
			n.t.Errorf("not recovered: %+v", st.NotRecovered())
		}
		n.wantRunning("named", "node", "web")
	})
}

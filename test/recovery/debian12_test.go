package recovery

import (
	"fmt"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// Debian 12 has systemd 252 and podman 4.3, so no Quadlet, no counter of
// soft-reboots, and fewer properties. The main promises hold there too.
func TestDebian12(t *testing.T) {
	t.Parallel()
	for _, uid := range []int{0, machine.User} {
		t.Run(fmt.Sprintf("uid %d", uid), func(t *testing.T) {
			t.Parallel()
			m := machine.Start(t, machine.WithSpec(machine.Spec{Suite: "bookworm"}))
			n := &node{m, t, uid, m.As(uid)}
			n.Install(deb(t))
			n.configure("CleanBootList=filebrowser")
			n.running() // see both
			n.wantUnitsThatVerify()

			n.unitsOfPodman43("gendb", "genfresh")
			for tier, name := range []string{"plaindb", "filebrowser", "stopped", "plain"} {
				n.plain(name, tier)
			}
			n.WriteFile("/etc/systemd/system/monitor.service", fmt.Sprintf(
				"[Unit]\nAfter=%[1]s\nWants=%[1]s\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n", n.unit()), 0o644, 0)
			n.MustRun("systemctl", "enable", "monitor.service")
			n.enable()
			n.saved("gendb", "genfresh", "plaindb", "filebrowser", "stopped", "plain")
			n.cli("user-stopped", "add", "stopped")

			n.crash()
			st := n.wait()
			n.wantRunning("gendb", "genfresh", "plaindb", "filebrowser", "plain")
			n.wantStates(st, map[string]recover.RowState{"gendb": recover.RowUp, "genfresh": recover.RowUp, "plaindb": recover.RowUp,
				"filebrowser": recover.RowUp, "plain": recover.RowUp, "stopped": recover.RowUserStopped})
			if st.Verdict.Ending != recover.HostCrashed {
				t.Errorf("verdict is %+v", st.Verdict)
			}
			n.MustRun("systemctl", "start", "monitor.service") // waits for its job, should boot not be over
			ready := n.micros(n.Shell, n.unit(), "ActiveEnterTimestampMonotonic")
			if began := n.micros(n.Shell, "monitor.service", "ExecMainStartTimestampMonotonic"); began < ready {
				t.Errorf("the monitor began %d µs before READY", ready-began)
			}

			// The daemon dies, and a container with it.
			n.saved("gendb", "genfresh", "plaindb", "filebrowser", "plain")
			lives := n.pid("gendb")
			// SIGQUIT, which Go's runtime makes an exit with 2: podman 4.3 cannot
			// tell one that was killed from one that was stopped.
			n.MustRun("kill", "-QUIT", n.pid("plain"))
			n.killedAndBack()
			st = n.wait()
			n.wantRunning("gendb", "genfresh", "plaindb", "filebrowser", "plain")
			if st.Verdict.Ending != recover.ServiceCrashed || n.pid("gendb") != lives {
				t.Errorf("verdict is %+v; gendb had PID %s and has %s", st.Verdict, lives, n.pid("gendb"))
			}

			// What was stopped leaves the set, and a clean boot starts its list.
			n.user.Systemctl("stop", "container-genfresh")
			n.user.MustRun("podman", "stop", "--time=0", "plaindb")
			n.saved("gendb", "filebrowser", "plain")
			n.Reboot()
			st = n.wait()
			n.wantRunning("filebrowser")
			if st.Verdict.Ending != recover.EndedCleanly {
				t.Errorf("after a clean reboot the verdict is %+v", st.Verdict)
			}

			// The daemon says nothing that it would not say on Debian 13.
			if log := n.Journal("-b", "-u", n.unit(), "-p", "warning"); strings.TrimSpace(log) != "" {
				t.Errorf("a clean boot gives warnings:\n%s", log)
			}
		})
	}
}

// unitsOfPodman43 makes and starts units for two containers, of tier 0 and 1.
// For root they are generated. For the user they are written by hand: where the
// host has cgroup v1 as well, rootless podman 4.3 does not find itself in its
// unit's cgroup, moves to a scope of its own, and the generated unit fails for
// want of its main process, here as on any such host.
func (n *node) unitsOfPodman43(first, second string) {
	n.t.Helper()
	if n.uid == 0 {
		n.generated(first, 0, false)
		n.generated(second, 1, true)
		return
	}
	for tier, name := range []string{first, second} {
		n.user.MustRun("podman", "create", "--name", name, "--label", fmt.Sprintf("%s=%d", recover.TierLabel, tier), machine.Image)
		n.WriteFile("/home/archy/.config/systemd/user/container-"+name+".service", fmt.Sprintf(
			"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/podman start %[1]s\nExecStop=/usr/bin/podman stop --time=2 %[1]s\n", name), 0o644, n.uid)
	}
	n.user.Reload()
	n.user.Systemctl("start", "container-"+first, "container-"+second)
}

// wantUnitsThatVerify has the machine's own systemd check the installed units.
func (n *node) wantUnitsThatVerify() {
	n.t.Helper()
	const script = `for file in /usr/lib/systemd/system/archy-recovery*; do
		systemd-analyze verify --man=no "$(basename "$file" | sed 's/@\./@1000./')" 2>&1
	done | grep archy-recovery || true`
	if said := n.MustRun("sh", "-c", script); said != "" {
		n.t.Errorf("systemd-analyze verify says:\n%s", said)
	}
	for line := range strings.Lines(n.Journal("-b", "_PID=1", "-p", "warning")) {
		if strings.Contains(line, "archy-recovery") {
			n.t.Errorf("systemd says of the units: %s", line)
		}
	}
}

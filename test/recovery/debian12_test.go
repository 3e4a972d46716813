package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// onDebian12 is onBothInstances for machines with Debian 12.
func onDebian12(t *testing.T, conf string, test func(*node)) {
	t.Helper()
	t.Parallel()
	for _, uid := range []int{0, machine.User} {
		t.Run(fmt.Sprintf("uid_%d", uid), func(t *testing.T) {
			t.Parallel()
			m := machine.Start(t, machine.WithSpec(machine.Spec{Suite: "bookworm"}))
			n := &node{m, t, uid, m.As(uid)}
			n.Install(artifact.Package(t))
			n.configure(conf)
			n.runFirstPodman()
			test(n)
		})
	}
}

// Debian 12 has systemd 252 and podman 4.3: no Quadlet, no counter of soft
// reboots, and fewer properties. The main promises hold there too.
func TestDebian12(t *testing.T) {
	onDebian12(t, "CleanBootList=filebrowser", func(n *node) {
		n.wantVerifiedUnits()

		n.unitsOfPodman43("gendb", "genfresh")
		for tier, name := range []string{"plaindb", "filebrowser", "stopped", "plain"} {
			n.plain(name, tier)
		}
		n.enableMonitor()
		n.enable()
		n.waitSaved("gendb", "genfresh", "plaindb", "filebrowser", "stopped", "plain")
		n.cli("user-stopped", "add", "stopped")

		n.crash()
		st := n.waitRecovered()
		n.wantRunning("gendb", "genfresh", "plaindb", "filebrowser", "plain")
		n.wantStates(st, map[string]recover.RowState{
			"gendb": recover.RowUp, "genfresh": recover.RowUp, "plaindb": recover.RowUp,
			"filebrowser": recover.RowUp, "plain": recover.RowUp, "stopped": recover.RowUserStopped})
		if st.Verdict.Ending != recover.HostCrashed {
			n.t.Errorf("verdict is %+v", st.Verdict)
		}
		n.wantMonitorAfterReady()
		// netavark 1.4 does not note which rules it made, so none of them is called lost.
		// The user's storage has the driver vfs, and only overlay is looked at.
		plan := n.repairs()
		want := map[bool]string{true: "whether the rules of podman's networks are there: podman's network program has noted " +
			"no rules", false: "what else is damaged in podman's storage: not all of it was looked at"}[n.uid == 0]
		if !strings.Contains(plan, "not known: "+want) || strings.Contains(plan, "podman network reload") {
			n.t.Errorf("repair says\n%s", plan)
		}

		// The daemon and one container are killed.
		n.waitSaved("gendb", "genfresh", "plaindb", "filebrowser", "plain")
		lives := n.pid("gendb")
		// Go's runtime turns SIGQUIT into exit status 2. podman 4.3 does not
		// distinguish a killed container from a stopped one.
		n.MustRun("kill", "-QUIT", n.pid("plain"))
		n.killDaemonAndWait()
		st = n.waitRecovered()
		n.wantRunning("gendb", "genfresh", "plaindb", "filebrowser", "plain")
		if st.Verdict.Ending != recover.ServiceCrashed || n.pid("gendb") != lives {
			n.t.Errorf("verdict is %+v; gendb had PID %s and has %s", st.Verdict, lives, n.pid("gendb"))
		}

		// Stopped containers leave the snapshot, and a clean boot starts the
		// clean-boot list.
		n.user.Systemctl("stop", "container-genfresh")
		n.user.MustRun("podman", "stop", "--time=0", "plaindb")
		n.waitSaved("gendb", "filebrowser", "plain")
		n.Reboot()
		st = n.waitRecovered()
		n.wantRunning("filebrowser")
		if st.Verdict.Ending != recover.EndedCleanly {
			n.t.Errorf("after a clean reboot the verdict is %+v", st.Verdict)
		}

		// The daemon logs no warnings, as on Debian 13.
		leftDown := func(l string) bool { return strings.Contains(l, "were not started: CleanBoot=list") }
		warnings := slices.Collect(strings.Lines(n.Journal("-b", "-u", n.unit(), "-p", "warning")))
		if log := strings.Join(slices.DeleteFunc(warnings, leftDown), ""); strings.TrimSpace(log) != "" {
			n.t.Errorf("the daemon logs warnings after a clean boot:\n%s", log)
		}
	})
}

// unitsOfPodman43 makes and starts units for two containers, of tier 0 and 1. For
// root podman generates them. For the user they are written by hand. On a host with
// cgroup v1 as well, rootless podman 4.3 does not find itself in its unit's cgroup,
// and moves to its own scope. A generated unit then fails because it has no main
// process.
func (n *node) unitsOfPodman43(first, second string) {
	n.t.Helper()
	if n.uid == 0 {
		n.generated(first, 0, false)
		n.generated(second, 1, true)
		return
	}
	for tier, name := range []string{first, second} {
		n.user.MustRun("podman", "create", "--name", name, "--label", tierLabel(tier), machine.Image)
		n.WriteFile("/home/archy/.config/systemd/user/container-"+name+".service", fmt.Sprintf(
			"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/podman start %[1]s\n"+
				"ExecStop=/usr/bin/podman stop --time=2 %[1]s\n", name), 0o644, n.uid)
	}
	n.user.Reload()
	n.user.Systemctl("start", "container-"+first, "container-"+second)
}

// wantVerifiedUnits lets the machine's systemd verify the installed units.
func (n *node) wantVerifiedUnits() {
	n.t.Helper()
	const script = `for file in /usr/lib/systemd/system/archy-recovery*; do
		systemd-analyze verify --man=no "$(basename "$file" | sed 's/@\./@1000./')" 2>&1
	done | grep archy-recovery || true`
	if output := n.MustRun("sh", "-c", script); output != "" {
		n.t.Errorf("systemd-analyze verify says:\n%s", output)
	}
	for line := range strings.Lines(n.Journal("-b", "_PID=1", "-p", "warning")) {
		if strings.Contains(line, "archy-recovery") {
			n.t.Errorf("systemd logs about the units: %s", line)
		}
	}
}

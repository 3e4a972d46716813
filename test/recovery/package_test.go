package recovery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// repack returns a copy of the package under test with another version.
func repack(t *testing.T, version string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	run("dpkg-deb", "--raw-extract", artifact.Package(t), tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	run("sed", "-i", "s/^Version: .*/Version: "+version+"/", control)
	other := filepath.Join(filepath.Dir(tree), "archy-recovery_"+version+".deb")
	run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, other)
	return other
}

// wantInstalled checks that this version of the package is completely installed.
func (n *node) wantInstalled(version string) {
	n.t.Helper()
	got := n.MustRun("dpkg-query", "-W", "-f=${Version} ${db:Status-Status}", "archy-recovery")
	if got != version+" installed" {
		n.t.Errorf("the package's version and state are %q, want %s", got, version)
	}
}

// During an upgrade in the middle of a recovery, the same daemon finishes the
// recovery. A later upgrade or downgrade restarts the daemon. That is no crash: no
// container is started or stopped, and the snapshot stays.
func TestUpgradeAndDowngrade(t *testing.T) {
	newer, newest := repack(t, "0.9.0-1"), repack(t, "0.9.1-1")
	onBothInstances(t, "", func(n *node) {
		n.quadlet("quick", 0, "", "")
		n.quadlet("slow", 1, "", "")
		n.quadlet("last", 2, "", "")
		n.user.Systemctl("start", "quick", "slow", "last")
		n.plain("plain", 2)
		n.enable()
		all := []string{"last", "plain", "quick", "slow"}
		n.waitSaved(all...)
		n.cli("user-stopped", "add", "other")

		n.PullPlug()
		n.quadlet("slow", 1, "Notify=true\nExec=-ready-after 6s", "") // longer than the upgrade
		n.BootNoWait()
		n.WaitFor(30*time.Second, "the middle of recovery", func() bool {
			st, err := n.status()
			return err == nil && states(st)["slow"] == recover.RowStarting
		})
		daemon, marker := n.daemonPID(), n.readData("archipelago.pid")
		set := n.readData("running-containers.json")
		n.Install(newer)
		n.wantInstalled("0.9.0-1")
		now := n.Show(n.unit(), "MainPID", "ActiveState")
		if now["MainPID"] != daemon || n.readData("archipelago.pid") != marker {
			n.t.Errorf("the upgrade replaced the daemon during recovery: %v, had PID %s", now, daemon)
		}
		// If recovery is complete already, the snapshot may have changed.
		if now["ActiveState"] == "activating" && n.readData("running-containers.json") != set {
			n.t.Error("the upgrade changed the snapshot during recovery")
		}
		n.WaitBooted()
		st := n.waitRecovered()
		n.wantRunning(all...)
		if st.Verdict.Ending != recover.HostCrashed || st.PID == 0 || len(st.NotRecovered()) > 0 {
			n.t.Errorf("verdict %+v, not recovered %v", st.Verdict, st.NotRecovered())
		}
		n.waitSaved(all...)

		for _, step := range []struct{ deb, version string }{
			{newest, "0.9.1-1"}, {artifact.Package(n.t), strings.Split(filepath.Base(artifact.Package(n.t)), "_")[1]},
		} {
			daemon, slow := n.daemonPID(), n.pid("slow")
			n.Install(step.deb)
			n.wantInstalled(step.version)
			st := n.waitRecovered()
			if st.Verdict.Ending != recover.EndedCleanly || len(st.Containers) > 0 {
				n.t.Errorf("%s: verdict %+v, containers %v", step.version, st.Verdict, st.Containers)
			}
			if n.daemonPID() == daemon {
				n.t.Errorf("%s: the daemon is still the old one", step.version)
			}
			if n.pid("slow") != slow {
				n.t.Errorf("%s: a container was restarted", step.version)
			}
			n.wantRunning(all...)
			n.waitSaved(all...)
			if got := n.cli("user-stopped", "list"); got != "other\n" {
				n.t.Errorf("%s: the user-stopped list is %q", step.version, got)
			}
		}
		n.PullPlug()
		n.quadlet("slow", 1, "", "")
		n.Boot()
		n.waitRecovered()
		n.wantRunning(all...)
	})
}

// Removal stops the service. It leaves the containers and the data directory. A
// purge leaves files that are not the package's, and says where they are.
func TestRemoveAndPurge(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("app", 1, "", "")
		n.user.Systemctl("start", "app")
		n.plain("plain", 1)
		n.enable()
		n.waitSaved("app", "plain")
		n.cli("user-stopped", "add", "other")
		app := n.pid("app")

		output := n.MustRun("dpkg", "--remove", "archy-recovery")
		n.wantRunning("app", "plain")
		if n.pid("app") != app {
			n.t.Error("removal restarted a container")
		}
		if !strings.Contains(output, "/var/lib/archy-recovery\n") {
			n.t.Errorf("removal does not say where the state stays:\n%s", output)
		}
		if !strings.Contains(n.readData("running-containers.json"), `"plain"`) ||
			!strings.Contains(n.readData("user-stopped.json"), "other") {
			n.t.Error("removal lost state")
		}
		if _, err := n.ReadFile(n.dataFile("archipelago.pid")); err == nil {
			n.t.Error("removal left the marker: the old module or a later installation would see a crash")
		}
		n.wantNoUnits(true)

		// A new installation goes on with the old state.
		n.Install(artifact.Package(n.t))
		n.enable()
		n.waitRecovered()
		n.waitSaved("app", "plain")
		n.crash()
		n.waitRecovered()
		n.wantRunning("app", "plain")
		app = n.pid("app")

		n.WriteFile("/usr/local/lib/archy-recovery/reconcile", "#!/bin/sh\n", 0o755, 0)
		n.WriteFile("/etc/archy-recovery.conf.d/60-data.conf",
			"[Recovery]\nDataDirectory = /srv/containers\n", 0o644, 0)
		output = n.MustRun("dpkg", "--purge", "archy-recovery")
		n.wantRunning("app", "plain")
		if n.pid("app") != app {
			n.t.Error("a container was restarted")
		}
		n.wantNoUnits(false)
		// These are all files with the package's name, and its group.
		left := strings.Fields(n.MustRun("sh", "-c", `find / -xdev \( -path /proc -o -path /sys -o -path /var/log `+
			`-o -path /var/tmp -o -path /tmp \) -prune -o -name '*archy-recovery*' -print; `+
			`getent group archy-recovery || true`))
		for _, path := range left {
			if !strings.Contains(output, "  "+path+"\n") {
				n.t.Errorf("purge leaves %s, and does not say so:\n%s", path, output)
			}
		}
		kept := []string{"/usr/local/lib/archy-recovery", "/etc/archy-recovery.conf.d", "/srv/containers"}
		for _, path := range kept {
			if !strings.Contains(output, "left in place") || !strings.Contains(output, "  "+path+"\n") {
				n.t.Errorf("purge does not say that %s stays:\n%s", path, output)
			}
		}
	})
}

// wantNoUnits checks that systemd has none of the package's units loaded. With
// enabled, other units may still refer to them, as not found.
func (n *node) wantNoUnits(enabled bool) {
	n.t.Helper()
	list := n.MustRun("systemctl", "list-units", "--all", "--plain", "--no-legend", "archy-recovery*")
	for line := range strings.Lines(list) {
		if !enabled || strings.Fields(line)[1] != "not-found" {
			n.t.Errorf("systemd still has %s", line)
		}
	}
}

// The Debian package's own test, for autopkgtest, succeeds on both releases.
func TestAutopkgtest(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../packaging/debian/tests/installed")
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range []string{"trixie", "bookworm"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			m := machine.Start(t, machine.WithSpec(machine.Spec{Suite: suite}))
			m.Install(artifact.Package(t))
			m.WriteFile("/var/tmp/installed", string(script), 0o755, 0)
			out := m.MustRun("env", "ARCHY_TEST_IMAGE="+machine.Image, "/var/tmp/installed")
			if !strings.Contains(out, "all well") {
				t.Errorf("its output is %q", out)
			}
		})
	}
}

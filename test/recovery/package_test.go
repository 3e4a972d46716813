package recovery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// repack is the package under test under another version.
func repack(t *testing.T, version string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	run("dpkg-deb", "--raw-extract", deb(t), tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	run("sed", "-i", "s/^Version: .*/Version: "+version+"/", control)
	other := filepath.Join(filepath.Dir(tree), "archy-recovery_"+version+".deb")
	run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, other)
	return other
}

// installed wants this version of the package, whole.
func (n *node) installed(version string) {
	n.t.Helper()
	if got := n.MustRun("dpkg-query", "-W", "-f=${Version} ${db:Status-Status}", "archy-recovery"); got != version+" installed" {
		n.t.Errorf("installed is %q, want %s", got, version)
	}
}

// An upgrade in the middle of a recovery lets it finish with the daemon that
// began it. One afterwards, and a downgrade, restart the daemon: that is no
// crash, nothing is started, stopped or forgotten.
func TestUpgradeAndDowngrade(t *testing.T) {
	newer, newest := repack(t, "0.9.0-1"), repack(t, "0.9.1-1")
	both(t, "", func(n *node) {
		n.quadlet("quick", 0, "", "")
		n.quadlet("slow", 1, "", "")
		n.quadlet("last", 2, "", "")
		n.user.Systemctl("start", "quick", "slow", "last")
		n.plain("plain", 2)
		n.enable()
		all := []string{"last", "plain", "quick", "slow"}
		n.saved(all...)
		n.cli("user-stopped", "add", "other")

		n.PullPlug()
		n.quadlet("slow", 1, "Notify=true\nExec=-ready-after 6s", "") // for as long as an upgrade takes
		n.BootNoWait()
		n.WaitFor(30*time.Second, "the middle of recovery", func() bool {
			st, err := n.status()
			return err == nil && states(st)["slow"] == recover.RowStarting
		})
		daemon, marker, set := n.Show(n.unit(), "MainPID")["MainPID"], n.read("archipelago.pid"), n.read("running-containers.json")
		n.Install(newer)
		n.installed("0.9.0-1")
		now := n.Show(n.unit(), "MainPID", "ActiveState")
		if now["MainPID"] != daemon || n.read("archipelago.pid") != marker {
			n.t.Errorf("the upgrade replaced the daemon that recovers: %v, had PID %s", now, daemon)
		}
		if now["ActiveState"] == "activating" && n.read("running-containers.json") != set { // or it was too slow to see it
			n.t.Error("the upgrade changed the snapshot that recovery works from")
		}
		n.WaitBooted()
		st := n.wait()
		n.wantRunning(all...)
		if st.Verdict.Ending != recover.HostCrashed || st.PID == 0 || len(st.Failed()) > 0 {
			n.t.Errorf("verdict %+v, failed %v", st.Verdict, st.Failed())
		}
		n.saved(all...)

		for _, step := range []struct{ deb, version string }{
			{newest, "0.9.1-1"}, {deb(n.t), strings.Split(filepath.Base(deb(n.t)), "_")[1]},
		} {
			daemon, slow := n.Show(n.unit(), "MainPID")["MainPID"], n.pid("slow")
			n.Install(step.deb)
			n.installed(step.version)
			st := n.wait()
			if st.Verdict.Ending != recover.EndedCleanly || len(st.Containers) > 0 {
				n.t.Errorf("%s: verdict %+v, containers %v", step.version, st.Verdict, st.Containers)
			}
			if n.Show(n.unit(), "MainPID")["MainPID"] == daemon {
				n.t.Errorf("%s: the daemon is still the old one", step.version)
			}
			if n.pid("slow") != slow {
				n.t.Errorf("%s: a container was restarted", step.version)
			}
			n.wantRunning(all...)
			n.saved(all...)
			if got := n.cli("user-stopped", "list"); got != "other\n" {
				n.t.Errorf("%s: user-stopped are %q", step.version, got)
			}
		}
		n.PullPlug()
		n.quadlet("slow", 1, "", "")
		n.Boot()
		n.wait()
		n.wantRunning(all...)
	})
}

// Removal stops the service, and neither the containers nor what is known of
// them. A purge leaves what is not the package's, and says where that is.
func TestRemoveAndPurge(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("app", 1, "", "")
		n.user.Systemctl("start", "app")
		n.plain("plain", 1)
		n.enable()
		n.saved("app", "plain")
		n.cli("user-stopped", "add", "other")
		app := n.pid("app")

		said := n.MustRun("dpkg", "--remove", "archy-recovery")
		n.wantRunning("app", "plain")
		if n.pid("app") != app {
			n.t.Error("removal restarted a container")
		}
		if !strings.Contains(said, "/var/lib/archy-recovery\n") {
			n.t.Errorf("removal does not say where state stays:\n%s", said)
		}
		if !strings.Contains(n.read("running-containers.json"), `"plain"`) || !strings.Contains(n.read("user-stopped.json"), "other") {
			n.t.Error("removal lost state")
		}
		if _, err := n.ReadFile(n.data("archipelago.pid")); err == nil {
			n.t.Error("removal left the marker: the old module, or a later install, would see a crash")
		}
		n.wantNoUnits(true)

		// Installed again, it goes on where it was.
		n.Install(deb(n.t))
		n.enable()
		n.wait()
		n.saved("app", "plain")
		n.crash()
		n.wait()
		n.wantRunning("app", "plain")
		app = n.pid("app")

		n.WriteFile("/usr/local/lib/archy-recovery/reconcile", "#!/bin/sh\n", 0o755, 0)
		n.WriteFile("/etc/archy-recovery.conf.d/60-data.conf", "[Recovery]\nDataDirectory = /srv/containers\n", 0o644, 0)
		said = n.MustRun("dpkg", "--purge", "archy-recovery")
		n.wantRunning("app", "plain")
		if n.pid("app") != app {
			n.t.Error("a container was restarted")
		}
		n.wantNoUnits(false)
		// All that has its name, but for what the test wrote and podman's units.
		left := strings.Fields(n.MustRun("sh", "-c", `find / -xdev \( -path /proc -o -path /sys -o -path /var/log -o -path /var/tmp -o -path /tmp \) -prune -o -name '*archy-recovery*' -print; getent group archy-recovery || true`))
		for _, path := range left {
			if !strings.Contains(said, "  "+path+"\n") {
				n.t.Errorf("purge leaves %s, and says only:\n%s", path, said)
			}
		}
		for _, path := range []string{"/usr/local/lib/archy-recovery", "/etc/archy-recovery.conf.d", "/srv/containers"} {
			if !strings.Contains(said, "left in place") || !strings.Contains(said, "  "+path+"\n") {
				n.t.Errorf("purge does not say that %s stays:\n%s", path, said)
			}
		}
	})
}

// wantNoUnits wants none of the package's units in systemd's memory, nor any
// wish of others for one, unless they are enabled.
func (n *node) wantNoUnits(enabled bool) {
	n.t.Helper()
	for line := range strings.Lines(n.MustRun("systemctl", "list-units", "--all", "--plain", "--no-legend", "archy-recovery*")) {
		if !enabled || strings.Fields(line)[1] != "not-found" {
			n.t.Errorf("systemd still knows %s", line)
		}
	}
}

// The test that the Debian package brings along for autopkgtest.
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
			m.Install(deb(t))
			m.WriteFile("/var/tmp/installed", string(script), 0o755, 0)
			if out := m.MustRun("env", "ARCHY_TEST_IMAGE="+machine.Image, "/var/tmp/installed"); !strings.Contains(out, "all well") {
				t.Errorf("it says %q", out)
			}
		})
	}
}

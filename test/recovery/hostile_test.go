package recovery

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// Labels, which can come from images, name foreign units, paths, or invalid tiers.
// Only the containers themselves are started, and no file with such a name is
// written.
func TestHostileLabels(t *testing.T) {
	onBothInstances(t, "SoakSec=1\n", func(n *node) {
		dir := "/etc/systemd/system/"
		if n.uid != 0 {
			dir = "/home/archy/.config/systemd/user/"
		}
		n.WriteFile(dir+"trap.service",
			"[Service]\nType=oneshot\nExecStart=/usr/bin/touch /var/tmp/trapped\n", 0o644, n.uid)
		n.WriteFile(dir+"idle.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n", 0o644, n.uid)
		n.user.Reload()
		n.quadlet("sql", 3, "", "")
		n.user.Systemctl("start", "sql")
		hostile := map[string]string{
			"trap":   "PODMAN_SYSTEMD_UNIT=trap.service",
			"thief":  "PODMAN_SYSTEMD_UNIT=sql.service",
			"path":   "PODMAN_SYSTEMD_UNIT=../../../../tmp/x.service",
			"words":  "PODMAN_SYSTEMD_UNIT=a.service trap.service",
			"lines":  "PODMAN_SYSTEMD_UNIT=a.service\nExecStart=/usr/bin/touch /var/tmp/trapped",
			"tier":   recover.TierLabel + "=-1\n0",
			"clings": "PODMAN_SYSTEMD_UNIT=idle.service",
		}
		var all []string
		for name, label := range hostile {
			n.user.MustRun("podman", "run", "--detach", "--name", name, "--label", label, machine.Image)
			all = append(all, name)
		}
		n.enable()
		n.waitSaved(append(all, "sql")...)
		// The unit named by the label runs on, and the container counts as stopped.
		n.user.Systemctl("start", "idle")
		n.user.MustRun("podman", "stop", "--time=1", "clings")
		delete(hostile, "clings")
		all = []string{"sql"}
		for name := range hostile {
			all = append(all, name)
		}
		n.waitSaved(all...)

		n.crash()
		st := n.waitRecovered()
		n.wantRunning(all...)
		for _, row := range st.Containers {
			if want := "container-" + row.Name + ".service"; row.Name != "sql" && row.Unit != want {
				n.t.Errorf("%s was started by %s", row.Name, row.Unit)
			}
		}
		if _, err := n.ReadFile("/var/tmp/trapped"); err == nil {
			n.t.Error("the trap was started")
		}
		out := n.MustRun("find", "/tmp", "/var/tmp", "/run", "-xdev", "-name", "x.service")
		if strings.TrimSpace(out) != "" {
			n.t.Errorf("these files were written: %s", out)
		}
	})
}

// A local user outside of the group can only read the lists. A lock on the data
// directory does not prevent the daemon's start.
func TestOtherLocalUser(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.enable()
		n.waitSaved("app")
		n.MustRun("useradd", "mallory")
		as := func(command ...string) error {
			_, err := n.Run(append([]string{"runuser", "-u", "mallory", "--"}, command...)...)
			return err
		}
		dir := strings.TrimSuffix(n.dataFile(""), "/")
		for _, may := range [][]string{
			{"cat", n.dataFile("running-containers.json")}, {"flock", "--nonblock", dir, "true"},
		} {
			if err := as(may...); err != nil {
				n.t.Errorf("%q: %v", may, err)
			}
		}
		for _, mayNot := range [][]string{
			{"touch", n.dataFile("x")},
			{"touch", n.dataFile("running-containers.json")},
			{"rm", "-f", n.dataFile("archipelago.pid")},
			{"ln", "-s", "/etc/passwd", n.dataFile("history/9.json")},
			{"mv", n.dataFile("history"), "/tmp/history"},
			{"flock", "--nonblock", n.dataFile("daemon.lock"), "true"},
			{"flock", "--nonblock", n.dataFile("user-stopped.json.lock"), "true"},
			{"curl", "--silent", "--max-time", "5", "--unix-socket", n.socket(), "http://localhost/v1/status"},
			{"busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
				"org.freedesktop.systemd1.Manager", "StopUnit", "ss", n.unit(), "replace"},
		} {
			if as(mayNot...) == nil {
				n.t.Errorf("mallory can %q", mayNot)
			}
		}

		n.MustRun("systemd-run", "--unit=holds", "--uid=mallory", "--service-type=exec",
			"flock", dir, "sleep", "infinity")
		n.WaitFor(10*time.Second, "the lock on the directory", func() bool {
			return as("flock", "--nonblock", dir, "true") != nil
		})
		n.killDaemonAndWait()
		n.waitRecovered()
		n.wantRunning("app")
	})
}

package recovery

import (
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// Containers whose labels, which may be their images', name units and tiers of
// others' or none: nothing but the containers is started for them, and no file
// of another name is written.
func TestHostileLabels(t *testing.T) {
	both(t, "SoakSec=1\n", func(n *node) {
		dir := "/etc/systemd/system/"
		if n.uid != 0 {
			dir = "/home/archy/.config/systemd/user/"
		}
		n.WriteFile(dir+"trap.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/touch /var/tmp/trapped\n", 0o644, n.uid)
		n.WriteFile(dir+"idle.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n", 0o644, n.uid)
		n.user.Reload()
		n.quadlet("db", 3, "", "")
		n.user.Systemctl("start", "db")
		hostile := map[string]string{
			"trap":   "PODMAN_SYSTEMD_UNIT=trap.service",
			"thief":  "PODMAN_SYSTEMD_UNIT=db.service",
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
		n.saved(append(all, "db")...)
		// The unit that it names runs on; the container was stopped all the same.
		n.user.Systemctl("start", "idle")
		n.user.MustRun("podman", "stop", "--time=1", "clings")
		delete(hostile, "clings")
		all = []string{"db"}
		for name := range hostile {
			all = append(all, name)
		}
		n.saved(all...)

		n.crash()
		st := n.wait()
		n.wantRunning(all...)
		for _, row := range st.Containers {
			if want := "container-" + row.Name + ".service"; row.Name != "db" && row.Unit != want {
				n.t.Errorf("%s was started by %s", row.Name, row.Unit)
			}
		}
		if _, err := n.ReadFile("/var/tmp/trapped"); err == nil {
			n.t.Error("the trap was started")
		}
		if out := n.MustRun("find", "/tmp", "/var/tmp", "/run", "-xdev", "-name", "x.service"); strings.TrimSpace(out) != "" {
			n.t.Errorf("written: %s", out)
		}
	})
}

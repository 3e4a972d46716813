package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// graphRoot is where podman keeps the containers of the instance.
func (n *node) graphRoot() string {
	if n.uid == 0 {
		return "/var/lib/containers/storage"
	}
	return "/home/archy/.local/share/containers/storage"
}

// syncs counts the syncs of the instance's storage in this boot that are over.
func (n *node) syncs() int {
	n.t.Helper()
	return strings.Count(n.Journal("-b", "-o", "cat"), ".service - Sync the File System of "+n.graphRoot()+".\n")
}

// waitSyncs waits for more syncs than there were, and returns how many there are.
func (n *node) waitSyncs(within time.Duration, why string, last int) int {
	n.t.Helper()
	now := last
	n.WaitFor(within, "a sync after "+why, func() bool { now = n.syncs(); return now > last })
	return now
}

// Nothing but the instance is enabled, and podman's storage is synced: after READY, and when an
// image has come.
func TestStorageSynced(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.enable()
		n.waitRecovered()
		last := n.waitSyncs(10*time.Second, "READY", 0)
		// The unit stays for a second after the sync. So the sync is within 2 s if this is within 3 s.
		n.user.MustRun("sh", "-c", "echo 1 >/tmp/content-$$ && tar -C /tmp -c content-$$ | podman import - localhost/new:1")
		last = n.waitSyncs(3*time.Second, "the import of an image", last)
		n.user.MustRun("podman", "tag", "localhost/new:1", "localhost/new:2")
		n.waitSyncs(3*time.Second, "a second change, for which the path has to be watched again", last)
		n.wantNoImpairment()

		// The sandbox of the check lets it read the storage, and write its answer.
		unit := strings.TrimSpace(n.MustRun("systemd-escape", "--path",
			"--template=archy-recovery-check@.service", n.graphRoot()))
		if _, err := n.user.Run(append(n.systemctl(), "start", unit)...); err != nil {
			n.t.Errorf("the check fails: %v\n%s", err, n.Journal("-b", "-o", "cat", "-n", "30"))
		}
	})
}

// wantNoImpairment checks that the daemon has not logged that the storage is not synced.
func (n *node) wantNoImpairment() {
	n.t.Helper()
	if log := n.Journal("-b", "-u", n.unit()); strings.Contains(log, "not synced") {
		n.t.Errorf("the journal says:\n%s", log)
	}
}

// damages are what a power cut does to the newest layer of an image, or to the image itself:
// shell commands, with its directories in $layer and $image.
var damages = map[string]string{
	"empty":    `find $layer/diff -type f -exec truncate -s 0 {} +`,
	"lost":     `find $layer/diff -type f -delete`,
	"nolower":  `truncate -s 0 $layer/lower`,
	"nodiff":   `rm -rf $layer/diff`,
	"nolayer":  `rm -rf $layer`,
	"manifest": `truncate -s 0 $image/manifest`,
}

// damagedImage makes the image NAME:1 with two layers, a Quadlet unit that runs it, and the
// shell variables for damages.
func (n *node) damagedImage(name string) (vars string) {
	n.t.Helper()
	image := "localhost/" + name + ":1"
	n.user.MustRun("podman", "create", "--name", "base-"+name, "--entrypoint", "/app-"+name, machine.Image)
	program := "/tmp/app-" + name
	n.user.MustRun("sh", "-c", fmt.Sprintf(
		"podman cp base-%[1]s:/testapp %[2]s && echo %[1]s >>%[2]s && podman cp %[2]s base-%[1]s:/app-%[1]s",
		name, program))
	n.user.MustRun("podman", "commit", "--quiet", "base-"+name, image)
	n.user.MustRun("podman", "rm", "base-"+name)
	n.Quadlet(n.uid, name+".container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nPull=never\n", image, name))
	inspect := strings.Fields(n.user.MustRun("podman", "image", "inspect", "--format",
		"{{.GraphDriver.Data.UpperDir}} {{.Id}}", image))
	return fmt.Sprintf("layer=%s image=%s/overlay-images/%s; ",
		strings.TrimSuffix(inspect[0], "/diff"), n.graphRoot(), inspect[1])
}

// Each damage of podman's storage is found after a crash, and what it would keep from starting
// is not started. Without the check the same starts fail, and their cause is named.
func TestStorageDamage(t *testing.T) {
	// Short waits save time. The soak is longer than podman takes on a busy host to remove a container that has
	// died: its unit is active until then.
	onBothInstances(t, "RetryPauseSec=1s\nSoakSec=12s\n", func(n *node) {
		vars := map[string]string{}
		var names []string
		for name := range damages {
			vars[name], names = n.damagedImage(name), append(names, name)
		}
		heals := n.damagedImage("heals")
		// The look at the storage takes up to 2 s, and no start waits for it. All others start after this one.
		n.quadlet("slow", 0, "Notify=true\nExec=-ready-after 4s", "")
		n.user.Reload()
		n.user.Systemctl(append([]string{"start", "slow", "heals"}, names...)...)
		n.plain("own", 1)
		n.plain("whole", 1)
		names = append(names, "own", "whole", "heals", "slow")
		n.enable()
		n.waitSaved(names...)
		own := strings.TrimSuffix(strings.TrimSpace(
			n.user.MustRun("podman", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "own")), "/diff")
		n.user.Systemctl("mask", "archy-recovery-check@.service")
		n.crash() // the containers of the last boot are gone
		n.waitSoaked()
		for name, damage := range damages {
			n.MustRun("sh", "-c", vars[name]+damage)
		}
		n.MustRun("truncate", "-s", "0", own+"/lower")
		n.MustRun("sh", "-c", heals+`rm $layer/../l/$(cat $layer/link)`)
		well := []string{"whole", "heals", "slow"}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(well, name) })
		n.crash()
		n.waitSoaked()
		rows := n.waitExplained(names)
		for _, name := range names {
			row := rows[name]
			why := row.LastAttempt().Why // without a reason if podman's words came late
			if !row.State.NotRecovered() ||
				!slices.Contains([]string{"", "image-damaged", "exec-format", "command-missing"}, why.Reason) {
				n.t.Errorf("without the check: %s is %s: %s; %+v", name, row.State, row.Error, why)
			}
		}
		n.wantRunning(well...)

		n.user.Systemctl("unmask", "archy-recovery-check@.service")
		n.crash()
		st := n.waitRecovered()
		for _, row := range st.Containers {
			switch known := row.State == recover.RowDamaged; {
			case !slices.Contains(names, row.Name):
				if known {
					n.t.Errorf("%s is whole, and %s: %s", row.Name, row.State, row.Error)
				}
			case known && len(row.Attempts) > 0:
				n.t.Errorf("%s was started %d times", row.Name, len(row.Attempts))
			case !known:
				n.t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
			case !strings.Contains(row.Error, "archy-recovery retry "+row.Name):
				n.t.Errorf("%s: %s", row.Name, row.Error)
			}
		}
		n.wantRunning(well...)
		n.waitSaved(append(names, well...)...)
	})
}

// waitExplained waits until it is known why the last start of each of these failed, and
// returns the rows by name.
func (n *node) waitExplained(names []string) map[string]recover.Row {
	n.t.Helper()
	rows := map[string]recover.Row{}
	n.WaitFor(time.Minute, "the causes", func() bool {
		st, err := n.status()
		for _, row := range st.Containers {
			rows[row.Name] = row
		}
		return err == nil && !slices.ContainsFunc(names, func(name string) bool {
			last := rows[name].LastAttempt()
			return last == nil || last.Why == nil
		})
	})
	return rows
}

// systemctl is the command for the manager that runs the containers.
func (n *node) systemctl() []string {
	if n.uid == 0 {
		return []string{"systemctl"}
	}
	return []string{"systemctl", "--user"}
}

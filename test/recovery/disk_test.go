package recovery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// The daemon is killed while the disk is full, has no free inode, or is read-only.
// The next daemon recovers all the same and reports the error. The old marker and
// snapshot stay. When the disk is writable again, both are written.
func TestDiskNotWritable(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		dir := n.dataFile("")
		// With a bind mount, "read-only" concerns the file system and not this mount.
		// The kernel makes file systems read-only in that way after an error.
		n.MustRun("mkdir", "-p", dir, "/mnt/disk")
		options := fmt.Sprintf("size=1m,nr_inodes=100,mode=755,uid=%d,gid=%[1]d", n.uid)
		n.MustRun("mount", "-t", "tmpfs", "-o", options, "data", "/mnt/disk")
		n.MustRun("mount", "--bind", "/mnt/disk", dir)
		for _, name := range []string{"dies", "lives"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.plain("plain", 3)
		n.enable()
		all := []string{"dies", "lives", "plain"}
		n.cli("snapshot") // the first snapshot of a run is always written; the next ones only on changes
		n.waitSaved(all...)

		for i, fault := range []struct{ what, breaks, repairs, says string }{
			{"full", "dd if=/dev/zero of=/mnt/disk/ballast bs=4k; true", "rm /mnt/disk/ballast",
				"no space left on device"},
			{"without inodes", "i=0; while touch /mnt/disk/ballast$i; do i=$((i+1)); done", "rm /mnt/disk/ballast*",
				"no space left on device"},
			{"read-only", "mount -o remount,ro /mnt/disk", "mount -o remount,rw /mnt/disk",
				"read-only file system"},
		} {
			marker, snapshot := n.readData("archipelago.pid"), n.readData("running-containers.json")
			n.MustRun("sh", "-c", fault.breaks)
			n.MustRun("kill", "-9", n.pid("dies"))
			n.killDaemonAndWait()
			st := n.waitRecovered()
			n.wantRunning(all...)
			notes := strings.Join(st.Notes, "\n")
			if !strings.Contains(notes, "no marker written") || !strings.Contains(notes, fault.says) {
				n.t.Errorf("%s: the notes are %q", fault.what, notes)
			}
			late := fmt.Sprintf("late%d", i)
			n.plain(late, 3)
			all = append(all, late)
			if _, err := n.Run(n.command("snapshot")...); err == nil || !strings.Contains(err.Error(), fault.says) {
				n.t.Errorf("%s: the error of snapshot is %v", fault.what, err)
			}
			n.wantLog(fault.says)
			if n.readData("archipelago.pid") != marker || n.readData("running-containers.json") != snapshot {
				n.t.Errorf("%s: the old state has changed", fault.what)
			}

			n.MustRun("sh", "-c", fault.repairs)
			n.MustRun("systemctl", "start", n.relatedUnit("snapshot")) // as the timer does
			if now := n.readData("archipelago.pid"); !strings.HasPrefix(now, n.daemonPID()+"\n") {
				n.t.Errorf("%s, and writable again: the marker is still\n%s", fault.what, now)
			}
			n.waitSaved(all...)
		}
		n.MustRun("umount", dir) // the tmpfs would be lost with the power
		n.MustRun("cp", "-a", "/mnt/disk/.", dir)
		n.crash()
		n.waitRecovered()
		n.wantRunning(all...)
	})
}

// readData returns the content of a file in the data directory.
func (n *node) readData(file string) string {
	n.t.Helper()
	text, err := n.ReadFile(n.dataFile(file))
	if err != nil {
		n.t.Fatal(err)
	}
	return text
}

// A container that was started just before a power failure is recovered. The
// snapshot on the disk holds it within a second after its start.
func TestContainerStartedBeforePowerCut(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("unit", 3, "", "")
		n.enable()
		n.waitSaved()
		for _, start := range []func() string{
			func() string { n.user.Systemctl("start", "unit"); return "unit" },
			func() string { n.plain("plain", 3); return "plain" },
		} {
			name := start()
			n.WaitFor(2*time.Second, name+" in the snapshot", func() bool {
				return strings.Contains(n.readData("running-containers.json"), `"`+name+`"`)
			})
			// The change time is that of the rename.
			saved := n.seconds("stat", "--format=%.9Z", n.dataFile("running-containers.json"))
			started := n.seconds("date", "+%s.%N", "--date", strings.Join(strings.Fields(n.user.MustRun(
				"podman", "inspect", "--format", "{{.State.StartedAt.UTC}}", name))[:2], " ")+" UTC")
			n.t.Logf("%s: on disk %.3f s after its start", name, saved-started)
			if saved-started > 1 {
				n.t.Errorf("%s was on disk only %.3f s after its start", name, saved-started)
			}
		}
		n.crash()
		n.waitRecovered()
		n.wantRunning("plain", "unit")
	})
}

// seconds returns the number that a command prints.
func (n *node) seconds(args ...string) float64 {
	n.t.Helper()
	s, err := strconv.ParseFloat(strings.TrimSpace(n.MustRun(args...)), 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// The snapshot timer logs changes that no signal had reported, and writes nothing
// if there is no change.
func TestSnapshotTimer(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.plain("before", 3)
		n.enable()
		// The first snapshot of a run is always written. Later ones compare.
		n.cli("snapshot")
		n.waitSaved("before")
		// Where podman's storage is, is asked once after READY, and is in the next snapshot.
		n.WaitFor(30*time.Second, "the place of podman's storage", func() bool {
			n.cli("snapshot")
			return strings.Contains(n.readData("running-containers.json"), "graphRoot")
		})
		var seen int
		logged := func() []string {
			n.t.Helper()
			n.MustRun("journalctl", "--sync")
			all := strings.Fields(n.Journal("-b", "-o", "cat", "--output-fields=JOINED,LEFT",
				"MESSAGE_ID="+recover.MsgSetDiffered))
			added := all[seen:]
			seen = len(all)
			slices.Sort(added)
			return added
		}
		logged()
		tick := func() []string {
			n.t.Helper()
			n.MustRun("systemctl", "start", n.relatedUnit("snapshot"))
			return logged()
		}
		file := func() string {
			return n.MustRun("stat", "--format=%i %.9Y %.9Z", n.dataFile("running-containers.json"))
		}
		wantNoChange := func() {
			n.t.Helper()
			was := file()
			if got := tick(); len(got) > 0 || file() != was {
				n.t.Errorf("without a change, the tick logs %q, and the snapshot was %q and is %q", got, was, file())
			}
		}

		wantNoChange()
		// systemd has no signal for that. But the signal of another unit, such as that which syncs podman's storage
		// after READY, may have the daemon look just then.
		from, to := "before", "after"
		for tries := 1; ; tries++ {
			n.user.MustRun("podman", "rename", from, to)
			got := tick()
			if slices.Equal(got, []string{"after", "before"}) {
				break
			}
			if tries == 3 || len(got) > 0 {
				n.t.Fatalf("the tick logs %q", got)
			}
			n.waitSaved(to)
			from, to = to, from
		}
		n.waitSaved(to)
		wantNoChange()
		if log := n.Journal("-b", "-x", "MESSAGE_ID="+recover.MsgSetDiffered); !strings.Contains(log, "joined: "+to) {
			n.t.Errorf("journalctl -x does not explain it:\n%s", log)
		}
	})
}

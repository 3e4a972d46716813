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

// The daemon dies on a disk that is full, has no inodes left, or is read-only:
// the next one recovers all the same and says what is wrong, the old marker and
// snapshot stand, and when the disk is well again both are written.
func TestADiskThatTakesNothing(t *testing.T) {
	both(t, "", func(n *node) {
		dir := n.data("")
		// A bind mount of it, so that "read-only" is of the file system alone, as
		// when the kernel makes it so after an error, and not of the mount.
		n.MustRun("mkdir", "-p", dir, "/mnt/disk")
		n.MustRun("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=1m,nr_inodes=100,mode=755,uid=%d,gid=%[1]d", n.uid), "data", "/mnt/disk")
		n.MustRun("mount", "--bind", "/mnt/disk", dir)
		for _, name := range []string{"dies", "lives"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.plain("plain", 3)
		n.enable()
		all := []string{"dies", "lives", "plain"}
		n.cli("snapshot") // after the first of the run, which is written anyway
		n.saved(all...)

		for i, fault := range []struct{ what, breaks, mends, says string }{
			{"full", "dd if=/dev/zero of=/mnt/disk/ballast bs=4k; true", "rm /mnt/disk/ballast", "no space left on device"},
			{"without inodes", "i=0; while touch /mnt/disk/ballast$i; do i=$((i+1)); done", "rm /mnt/disk/ballast*", "no space left on device"},
			{"read-only", "mount -o remount,ro /mnt/disk", "mount -o remount,rw /mnt/disk", "read-only file system"},
		} {
			marker, snapshot := n.read("archipelago.pid"), n.read("running-containers.json")
			n.MustRun("sh", "-c", fault.breaks)
			n.MustRun("kill", "-9", n.pid("dies"))
			n.killedAndBack()
			st := n.wait()
			n.wantRunning(all...)
			if notes := strings.Join(st.Notes, "\n"); !strings.Contains(notes, "no marker written") || !strings.Contains(notes, fault.says) {
				n.t.Errorf("%s: notes are %q", fault.what, notes)
			}
			late := fmt.Sprintf("late%d", i)
			n.plain(late, 3)
			all = append(all, late)
			if _, err := n.Run(n.command("snapshot")...); err == nil || !strings.Contains(err.Error(), fault.says) {
				n.t.Errorf("%s: snapshot says %v", fault.what, err)
			}
			n.wantLog(fault.says)
			if n.read("archipelago.pid") != marker || n.read("running-containers.json") != snapshot {
				n.t.Errorf("%s: the old state does not stand", fault.what)
			}

			n.MustRun("sh", "-c", fault.mends)
			n.MustRun("systemctl", "start", strings.Replace(n.unit(), "archy-recovery", "archy-recovery-snapshot", 1)) // the timer's tick
			if now := n.read("archipelago.pid"); !strings.HasPrefix(now, n.Show(n.unit(), "MainPID")["MainPID"]+"\n") {
				n.t.Errorf("%s, and well again: the marker is still\n%s", fault.what, now)
			}
			n.saved(all...)
		}
		n.MustRun("umount", dir) // else it would go with the power
		n.MustRun("cp", "-a", "/mnt/disk/.", dir)
		n.crash()
		n.wait()
		n.wantRunning(all...)
	})
}

// read is a file of the data directory.
func (n *node) read(file string) string {
	n.t.Helper()
	text, err := n.ReadFile(n.data(file))
	if err != nil {
		n.t.Fatal(err)
	}
	return text
}

func (n *node) pid(name string) string {
	n.t.Helper()
	return strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", name))
}

// killedAndBack kills the daemon and waits for systemd's next one.
func (n *node) killedAndBack() {
	n.t.Helper()
	daemon := n.Show(n.unit(), "MainPID")["MainPID"]
	n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", n.unit())
	n.WaitFor(20*time.Second, "the daemon's restart", func() bool {
		now := n.Show(n.unit(), "MainPID", "ActiveState")
		return now["ActiveState"] == "active" && now["MainPID"] != daemon
	})
}

// A container that was started just before the plug is pulled is recovered: a
// second after its start it is on the disk.
func TestAContainerThatWasStartedJustBeforeTheCut(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("unit", 3, "", "")
		n.enable()
		n.saved()
		for _, start := range []func() string{
			func() string { n.user.Systemctl("start", "unit"); return "unit" },
			func() string { n.plain("plain", 3); return "plain" },
		} {
			name := start()
			n.WaitFor(2*time.Second, name+" in the snapshot", func() bool { return strings.Contains(n.read("running-containers.json"), `"`+name+`"`) })
			// The change time: of the rename that put the file there.
			saved := n.seconds("stat", "--format=%.9Z", n.data("running-containers.json"))
			started := n.seconds("date", "+%s.%N", "--date", strings.Join(strings.Fields(n.user.MustRun(
				"podman", "inspect", "--format", "{{.State.StartedAt.UTC}}", name))[:2], " ")+" UTC")
			n.t.Logf("%s: on disk %.3f s after its start", name, saved-started)
			if saved-started > 1 {
				n.t.Errorf("%s was on disk only %.3f s after its start", name, saved-started)
			}
		}
		n.crash()
		n.wait()
		n.wantRunning("plain", "unit")
	})
}

// seconds is a time that a command prints.
func (n *node) seconds(args ...string) float64 {
	n.t.Helper()
	s, err := strconv.ParseFloat(strings.TrimSpace(n.MustRun(args...)), 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// The timer's tick says what it found that had not been seen, and writes
// nothing when there is nothing.
func TestTheTimersTick(t *testing.T) {
	both(t, "", func(n *node) {
		n.plain("before", 3)
		n.enable()
		n.cli("snapshot") // the first of the run is written anyway, by the watch or for this; only then it finds a difference
		n.saved("before")
		var heard int
		news := func() []string {
			n.t.Helper()
			n.MustRun("journalctl", "--sync")
			all := strings.Fields(n.Journal("-b", "-o", "cat", "--output-fields=JOINED,LEFT", "MESSAGE_ID="+recover.MsgSetDiffered))
			said := all[heard:]
			heard = len(all)
			slices.Sort(said)
			return said
		}
		news()
		tick := func() []string {
			n.t.Helper()
			n.MustRun("systemctl", "start", strings.Replace(n.unit(), "archy-recovery", "archy-recovery-snapshot", 1))
			return news()
		}
		untouched := func() string {
			return n.MustRun("stat", "--format=%i %.9Y %.9Z", n.data("running-containers.json"))
		}

		was := untouched()
		if said := tick(); len(said) > 0 || untouched() != was {
			n.t.Errorf("nothing had changed; the tick says %q, and the snapshot was %q and is %q", said, was, untouched())
		}
		n.user.MustRun("podman", "rename", "before", "after") // of which systemd knows nothing
		if said := tick(); !slices.Equal(said, []string{"after", "before"}) {
			n.t.Errorf("the tick says %q", said)
		}
		n.saved("after")
		was = untouched()
		if said := tick(); len(said) > 0 || untouched() != was {
			n.t.Errorf("again nothing had changed; the tick says %q, and the snapshot was %q and is %q", said, was, untouched())
		}
		if log := n.Journal("-b", "-x", "MESSAGE_ID="+recover.MsgSetDiffered); !strings.Contains(log, "joined: after") {
			n.t.Errorf("journalctl -x does not explain it:\n%s", log)
		}
	})
}

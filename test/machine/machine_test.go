package machine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBoot(t *testing.T) {
	t.Parallel()
	m := Start(t)
	if got := m.MustRun("systemctl", "is-system-running"); got != "running\n" {
		t.Errorf("system state %q, want running", got)
	}
	if got := m.As(User).MustRun("systemctl", "--user", "is-system-running"); got != "running\n" {
		t.Errorf("user manager's state %q, want running", got)
	}
	if got := m.As(User).MustRun("id", "-un"); got != "archy\n" {
		t.Errorf("user %q, want archy", got)
	}
	if _, err := m.Run("sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("failed command's error %v, want one that quotes its output", err)
	}
	if !strings.Contains(m.Console(), "multi-user.target") {
		t.Errorf("console without the boot's messages:\n%s", m.Console())
	}
	got := m.Show("multi-user.target", "ActiveState", "LoadState")
	if got["ActiveState"] != "active" || got["LoadState"] != "loaded" || len(got) != 2 {
		t.Errorf("multi-user.target shows %v", got)
	}
	for _, s := range []*Shell{m.As(0), m.As(User)} {
		if images := s.MustRun("podman", "images", "--format", "{{.Repository}}:{{.Tag}}"); images != Image+"\n" {
			t.Errorf("uid %d: images %q, want %q", s.uid, images, Image)
		}
	}
}

func TestCommandEndsWithContext(t *testing.T) {
	t.Parallel()
	m := Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := m.RunContext(ctx, "sleep", "4242"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline's", err)
	}
	m.WaitFor(5*time.Second, "the end of sleep", func() bool {
		_, err := m.Run("pgrep", "-f", "^sleep 4242")
		return err != nil
	})
	// A command that is running when the plug is pulled dies with the machine.
	streamed := make(chan error)
	go func() { streamed <- m.Stream(t.Context(), t.Output(), "sleep", "4243") }()
	m.WaitFor(5*time.Second, "sleep", func() bool {
		_, err := m.Run("pgrep", "-f", "^sleep 4243")
		return err == nil
	})
	m.PullPlug()
	if err := <-streamed; err == nil {
		t.Error("a command outlived its machine")
	}
	if _, err := m.Run("true"); err == nil {
		t.Error("a command ran on a machine that is off")
	}
}

func TestTwoMachinesShareNothing(t *testing.T) {
	t.Parallel()
	a, b := Start(t, Off()), Start(t, Off())
	a.WriteFile("/etc/only-a", "a", 0o600, 0)
	a.Boot()
	b.Boot()
	if _, err := b.ReadFile("/etc/only-a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("b has a's file: %v", err)
	}
	if a.BootID() == b.BootID() {
		t.Error("both machines have the same boot ID")
	}
	// They share neither a network nor abstract sockets.
	if a.MustRun("readlink", "/proc/self/ns/net") == b.MustRun("readlink", "/proc/self/ns/net") {
		t.Error("both machines have the same network")
	}
	a.As(User).MustRun("podman", "run", "--detach", "--name", "x", Image)
	if out := b.As(User).MustRun("podman", "ps", "--all", "--quiet"); out != "" {
		t.Errorf("b has a's container: %s", out)
	}
	a.PullPlug()
	if got := b.MustRun("systemctl", "is-system-running"); got != "running\n" {
		t.Errorf("after a's plug was pulled, b is %q", got)
	}
}

func TestPullPlug(t *testing.T) {
	t.Parallel()
	m := Start(t)
	first := m.BootID()
	m.MustRun("sh", "-c",
		"echo kept >/var/lib/synced && sync /var/lib/synced && logger before the cut && journalctl --sync")
	m.PullPlug()
	if m.IsOn() {
		t.Fatal("on after the plug was pulled")
	}
	if journal := m.Journal("-b", "0"); !strings.Contains(journal, "before the cut") {
		t.Errorf("the journal of the cut boot, read from the disk, lacks the entry:\n%s", journal)
	}
	m.Boot()
	if second := m.BootID(); second == first || len(second) != 32 {
		t.Errorf("boot ID %q after %q", second, first)
	}
	if got, err := m.ReadFile("/var/lib/synced"); got != "kept\n" || err != nil {
		t.Errorf("synced file: %q, %v", got, err)
	}
	previous := m.Journal("-b", first)
	if !strings.Contains(previous, "before the cut") {
		t.Errorf("the previous boot's journal lacks the entry:\n%s", previous)
	}
	if strings.Contains(previous, "Journal stopped") {
		t.Errorf("the previous boot's journal ends as if it had been shut down:\n%s", previous)
	}
}

func TestPowerOffAndReboot(t *testing.T) {
	t.Parallel()
	m := Start(t)
	first := m.BootID()
	m.PowerOff()
	if m.IsOn() {
		t.Fatal("on after power-off")
	}
	m.Boot()
	if !strings.Contains(m.Journal("-b", first), "Journal stopped") {
		t.Error("the journal does not show a clean shutdown")
	}
	second := m.BootID()
	m.Reboot()
	if third := m.BootID(); third == second || second == first {
		t.Errorf("boot IDs %s, %s, %s", first, second, third)
	}
	if !strings.Contains(m.Journal("-b", second), "reboot.target") {
		t.Error("the journal does not show a reboot")
	}
}

func TestSoftReboot(t *testing.T) {
	t.Parallel()
	m := Start(t, Timeout(30*time.Second))
	first := m.BootID()
	// systemd stops all processes for a moment. A running command must not stay
	// stopped.
	streamed := make(chan error, 1)
	go func() { streamed <- m.Stream(t.Context(), io.Discard, "sleep", "3") }()
	m.SoftReboot()
	if got := m.Show("init.scope", "ActiveState")["ActiveState"]; got != "active" {
		t.Errorf("init.scope is %s", got)
	}
	if got := m.MustRun("systemctl", "show", "--property=SoftRebootsCount"); got != "SoftRebootsCount=1\n" {
		t.Errorf("%s", got)
	}
	if m.BootID() != first {
		t.Error("a soft reboot changed the boot ID")
	}
	select {
	case <-streamed:
	case <-time.After(10 * time.Second):
		t.Error("the command did not end")
	}
}

// TestInstall installs a package that the machine itself makes.
func TestInstall(t *testing.T) {
	t.Parallel()
	m := Start(t)
	m.WriteFile("/root/p/DEBIAN/control", "Package: archy-test\nVersion: 1\nArchitecture: all\n"+
		"Maintainer: nobody\nDescription: test\n", 0o644, 0)
	m.WriteFile("/root/p/usr/share/archy-test", "here", 0o644, 0)
	m.MustRun("dpkg-deb", "--build", "/root/p", "/root/p.deb")
	content, err := m.ReadFile("/root/p.deb")
	if err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(t.TempDir(), "archy-test.deb")
	if err := os.WriteFile(deb, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Install(deb)
	if got, err := m.ReadFile("/usr/share/archy-test"); got != "here" || err != nil {
		t.Errorf("installed file: %q, %v", got, err)
	}
}

// TestDebian12 checks that a Debian 12 machine runs containers of both users.
func TestDebian12(t *testing.T) {
	t.Parallel()
	m := Start(t, WithSpec(Spec{Suite: "bookworm"}))
	if got := m.MustRun("systemctl", "is-system-running"); got != "running\n" {
		t.Errorf("system state %q, want running", got)
	}
	for _, s := range []*Shell{m.As(0), m.As(User)} {
		s.MustRun("podman", "run", "--detach", "--name", "x", Image)
	}
	m.PullPlug()
	m.Boot()
	for _, s := range []*Shell{m.As(0), m.As(User)} {
		got := s.MustRun("podman", "ps", "--all", "--format", "{{.Names}} {{.State}}")
		if !strings.HasPrefix(got, "x ") {
			t.Errorf("uid %d: containers after the cut: %q", s.uid, got)
		}
	}
}

func TestBootNoWait(t *testing.T) {
	t.Parallel()
	m := Start(t, Off())
	m.WriteFile("/etc/systemd/system/slow.service", "[Service]\nType=oneshot\n"+
		"ExecStart=/bin/sh -c 'until test -e /run/go; do sleep .05; done'\n"+
		"[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	m.WriteFile("/etc/systemd/system/multi-user.target.d/slow.conf",
		"[Unit]\nWants=slow.service\nAfter=slow.service\n", 0o644, 0)
	m.BootNoWait()
	if got, _ := m.Run("systemctl", "is-system-running"); got != "starting\n" && got != "initializing\n" {
		t.Errorf("system state %q in the middle of the boot", got)
	}
	m.WriteFile("/run/go", "", 0o644, 0)
	m.WaitBooted()
	if got := m.Show("slow.service", "Result")["Result"]; got != "success" {
		t.Errorf("slow.service: %s", got)
	}
}

func TestFilesOnAndOff(t *testing.T) {
	t.Parallel()
	m := Start(t, Off())
	for _, state := range []string{"off", "on"} {
		if state == "on" {
			m.Boot()
		}
		const path = "/home/archy/a/b/file"
		m.WriteFile(path, state, 0o640, User)
		if got, err := m.ReadFile(path); got != state || err != nil {
			t.Errorf("%s: read %q, %v", state, got, err)
		}
		// An absolute link is the machine's, not the host's.
		m.WriteFile("/etc/hostname", "archy\n", 0o644, 0)
		m.Remove("/root/link")
		link := filepath.Join(m.host.diskPath(), "root/link")
		if err := os.Symlink("/etc/hostname", link); err != nil {
			t.Fatal(err)
		}
		if got, err := m.ReadFile("/root/link"); got != "archy\n" || err != nil {
			t.Errorf("%s: read %q through a link, %v", state, got, err)
		}
		entries, err := m.ReadDir("/home/archy/a")
		if err != nil || len(entries) != 1 || entries[0].Name() != "b" {
			t.Errorf("%s: directory holds %v, %v", state, entries, err)
		}
		if state == "on" {
			got := m.MustRun("stat", "-c", "%u %g %a", path, "/home/archy/a")
			if got != "1000 1000 640\n1000 1000 755\n" {
				t.Errorf("owners and modes: %s", got)
			}
		}
		m.Remove("/home/archy/a")
		m.Remove("/home/archy/a")
		if _, err := m.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: reading a removed file: %v", state, err)
		}
	}
}

// Nothing wants network-online.target. A unit that wants it reaches it at once, or
// with a late network when that is up.
func TestNetworkOnline(t *testing.T) {
	t.Parallel()
	m := Start(t)
	want := func(when, state string) {
		t.Helper()
		if got := m.Show("network-online.target", "ActiveState")["ActiveState"]; got != state {
			t.Errorf("%s network-online.target is %s, want %s", when, got, state)
		}
	}
	want("after the boot", "inactive")
	m.Systemctl("start", "network-online.target")
	want("when wanted", "active")

	m.PullPlug()
	m.DelayNetwork()
	m.Boot()
	m.Systemctl("start", "--no-block", "network-online.target")
	m.WaitFor(5*time.Second, "the wait-online service", func() bool {
		return m.Show("wait-online.service", "ActiveState")["ActiveState"] == "activating"
	})
	want("with a late network", "inactive")
	m.NetworkUp()
	m.Systemctl("start", "network-online.target") // waits for the job
	want("with the network up", "active")
}

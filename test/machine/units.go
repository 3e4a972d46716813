package machine

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Quadlet writes a Quadlet source, such as "web.container", for root (uid 0) or
// for the user, owned by it. On a machine that is on, the manager is reloaded:
// the unit exists when the call returns.
func (m *Machine) Quadlet(uid int, name, text string) {
	m.t.Helper()
	dir := "/etc/containers/systemd"
	if uid != 0 {
		dir = "/home/archy/.config/containers/systemd"
	}
	m.WriteFile(filepath.Join(dir, name), text, 0o644, uid)
	if m.IsOn() {
		m.As(uid).Reload()
	}
}

// Reload makes the shell's manager read its unit files again.
func (s *Shell) Reload() {
	s.m.t.Helper()
	s.MustRun(append(s.systemctl(), "daemon-reload")...)
}

// Systemctl is MustRun of systemctl on the shell's manager.
func (s *Shell) Systemctl(args ...string) string {
	s.m.t.Helper()
	return s.MustRun(append(s.systemctl(), args...)...)
}

// Install installs a Debian package from a file of the host. Its dependencies
// must be on the machine already, which has no network: see Spec.Packages.
func (m *Machine) Install(deb string) {
	m.t.Helper()
	content, err := os.ReadFile(deb)
	if err != nil {
		m.t.Fatalf("machine: install: %v", err)
	}
	path := "/var/tmp/" + filepath.Base(deb)
	m.WriteFile(path, string(content), 0o644, 0)
	m.MustRun("dpkg", "--install", path)
	m.Remove(path)
}

// Journal returns what journalctl prints for these arguments, without a pager.
// As a user it reads what that user may. On a machine that is off it reads the
// disk, as root whoever asks.
func (s *Shell) Journal(args ...string) string {
	s.m.t.Helper()
	ctx, cancel := s.m.timeout("journalctl")
	defer cancel()
	args = append(s.m.journalctl(), args...)
	if s.m.IsOn() {
		return s.MustRun(args...)
	}
	var out strings.Builder
	if err := s.m.stream(ctx, &out, args...); err != nil {
		s.m.t.Fatalf("machine: %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// journalctl returns the command that reads the machine's journal.
func (m *Machine) journalctl() []string {
	args := []string{"journalctl", "--no-pager", "--quiet"}
	if !m.IsOn() {
		// Told where the journal is, it takes the last boot for the one that
		// -b means, and does not look for one that runs.
		args = append(args, "--directory=/var/log/journal")
	}
	return args
}

// stream runs one of the machine's own programs on its disk, booted or not.
func (m *Machine) stream(ctx context.Context, w io.Writer, args ...string) error {
	if m.IsOn() {
		return m.As(0).Stream(ctx, w, args...)
	}
	supervisor := strconv.Itoa(m.host.cmd.Process.Pid)
	enter := []string{"--target", supervisor, "--mount", "--wd=/", "chroot", filepath.Join(m.host.dir, rootName)}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Stdout, cmd.Stderr = w, w
	return cmd.Run()
}

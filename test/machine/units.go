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

// Quadlet writes a Quadlet file, such as "web.container", for root (uid 0) or
// for the user. The uid owns the file. If the machine is on, the call reloads the
// manager, so that the unit exists afterwards.
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

// Reload makes the shell's manager read its unit files again (daemon-reload).
func (s *Shell) Reload() {
	s.m.t.Helper()
	s.MustRun(append(s.systemctl(), "daemon-reload")...)
}

// Systemctl runs systemctl on the shell's manager, like MustRun.
func (s *Shell) Systemctl(args ...string) string {
	s.m.t.Helper()
	return s.MustRun(append(s.systemctl(), args...)...)
}

// Install installs a Debian package from a file of the host. The machine has no
// network, so it must already have the dependencies: see Spec.Packages.
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

// Journal returns the output of journalctl for these arguments, without a pager.
// A user's shell reads only what that user may. If the machine is off, Journal
// reads its disk, always as root.
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
		// With a directory, -b means the last boot in it, not the running boot.
		args = append(args, "--directory=/var/log/journal")
	}
	return args
}

// stream runs a program of the machine. If the machine is off, it runs the
// program in a chroot on its disk.
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

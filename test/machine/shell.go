package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// User is the uid and gid of the user whose rootless containers are tested. The
// user's name is archy, and the home directory is /home/archy.
const User = 1000

// Shell runs commands on a machine as one user. A [Machine] itself is root's
// shell; [Machine.As] returns the others.
type Shell struct {
	m   *Machine
	uid int
}

// As returns a shell whose commands run as this uid, in the environment of that
// user's manager.
func (m *Machine) As(uid int) *Shell { return &Shell{m: m, uid: uid} }

// Run runs a command to its end and returns its standard output. The error of a
// failed command holds its arguments and both of its outputs. The machine's
// timeout limits the command, see [Timeout].
func (s *Shell) Run(args ...string) (string, error) {
	ctx, cancel := s.m.timeout("the command " + args[0])
	defer cancel()
	return s.RunContext(ctx, args...)
}

// RunContext is Run with the context's limit instead of the machine's timeout.
func (s *Shell) RunContext(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return stdout.String(), fmt.Errorf("uid %d: %s: %w\n%s%s",
			s.uid, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// MustRun is Run for a command that must succeed. If it fails, the test ends at
// once with the command's output.
func (s *Shell) MustRun(args ...string) string {
	s.m.t.Helper()
	out, err := s.Run(args...)
	if err != nil {
		s.m.t.Fatalf("machine: %v", err)
	}
	return out
}

// Stream runs a command to its end, or until ctx ends. It writes both outputs to
// w as they come.
func (s *Shell) Stream(ctx context.Context, w io.Writer, args ...string) error {
	cmd := s.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("uid %d: %s: %w", s.uid, strings.Join(args, " "), err)
	}
	return nil
}

// Command returns a command that will run on the machine, for callers that need
// its pipes or run it in the background. It is killed when ctx ends or when the
// machine ends. If the machine is off, Start of the command returns an error.
//
// The command runs in the machine's namespaces, but in no cgroup of the machine.
// So it belongs to no unit of the machine's systemd, and survives a soft reboot.
// Use systemd-run for a command that needs a unit.
func (s *Shell) Command(ctx context.Context, args ...string) *exec.Cmd {
	leader, err := s.m.host.leaderPID()
	enter := []string{"--target", strconv.Itoa(leader),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
		// conmon fails if its working directory is outside of the machine.
		"--root", "--wd",
		// systemd stops all processes for a moment when it shuts down. If nsenter
		// forks, it then stops itself too, and no process continues it. So a
		// shell outside of the PID namespace forks, and waits for the child's end.
		"--no-fork", "sh", "-c", `"$@"; exit $?`, "sh",
		"env", "-i", path, "LANG=C.UTF-8", "TERM=dumb"}
	enter = append(enter, EnvAs(s.uid)...)
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	if err != nil && cmd.Err == nil {
		cmd.Err = err
	}
	// A signal to the shell alone would not end the command.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// The command may leave a background process that keeps its output open.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// path is where commands on a machine are searched.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// EnvAs returns arguments of env(1) for a command that root runs on a machine as
// the uid: its environment, and for a user a setpriv(1) command. The arguments of
// the command follow.
func EnvAs(uid int) []string {
	if uid == 0 {
		return []string{"HOME=/root", "USER=root"}
	}
	id := strconv.Itoa(uid)
	runtimeDir := "/run/user/" + id
	// setpriv sets HOME and USER to those of the user.
	return []string{"setpriv", "--reuid=" + id, "--regid=" + id, "--init-groups", "--reset-env",
		"env", path, "LANG=C.UTF-8", "XDG_RUNTIME_DIR=" + runtimeDir,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + runtimeDir + "/bus"}
}

// Show returns properties of a unit, as systemctl show prints them. Without names
// it returns all properties. A user's shell asks the user's manager. A unit that
// does not exist is no error: its LoadState is "not-found".
func (s *Shell) Show(unit string, props ...string) map[string]string {
	s.m.t.Helper()
	args := append(s.systemctl(), "show", "--property="+strings.Join(props, ","), "--", unit)
	if len(props) == 0 {
		args = append(s.systemctl(), "show", "--", unit)
	}
	values := map[string]string{}
	for line := range strings.Lines(s.MustRun(args...)) {
		// Only the first line of a value counts.
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			values[name] = value
		}
	}
	return values
}

// systemctl returns the command that controls the shell's manager.
func (s *Shell) systemctl() []string {
	if s.uid == 0 {
		return []string{"systemctl"}
	}
	return []string{"systemctl", "--user"}
}

// awaitUserManager waits until the user's manager has finished its start-up.
// Lingering starts it at boot, and no unit of the system waits for it.
func (s *Shell) awaitUserManager(ctx context.Context) error {
	root := &Shell{m: s.m}
	unit := fmt.Sprintf("user@%d.service", s.uid)
	// This waits for the job in progress, if there is one.
	if _, err := root.RunContext(ctx, "systemctl", "start", unit); err != nil {
		return err
	}
	_, err := s.RunContext(ctx, "systemctl", "--user", "is-system-running", "--wait")
	// A degraded manager is up as well. The test decides about failed units.
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return nil
	}
	return err
}

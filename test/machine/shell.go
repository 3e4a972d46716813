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

// User is the uid, and gid, of the user whose rootless containers are tested.
// Its name is archy and its home directory /home/archy.
const User = 1000

// Shell runs commands on a machine as one user: root's is the machine itself,
// the others come from [Machine.As].
type Shell struct {
	m   *Machine
	uid int
}

// As returns a view of the machine whose commands run as this uid, in the
// environment of its user manager.
func (m *Machine) As(uid int) *Shell { return &Shell{m: m, uid: uid} }

// Run runs a command to its end and returns its standard output. The error of
// a command that failed holds its arguments and what it wrote to both outputs.
// It takes no longer than the machine's timeout, see [Timeout].
func (s *Shell) Run(args ...string) (string, error) {
	ctx, cancel := s.m.timeout("the command " + args[0])
	defer cancel()
	return s.RunContext(ctx, args...)
}

// RunContext is Run with a limit of the caller's.
func (s *Shell) RunContext(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return stdout.String(), fmt.Errorf("uid %d: %s: %w\n%s%s", s.uid, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// MustRun is Run for commands that must succeed: the test fails at once, with
// the command's output, if it does not.
func (s *Shell) MustRun(args ...string) string {
	s.m.t.Helper()
	out, err := s.Run(args...)
	if err != nil {
		s.m.t.Fatalf("machine: %v", err)
	}
	return out
}

// Stream runs a command to its end, or until ctx ends, and writes both of its
// outputs to w as they come.
func (s *Shell) Stream(ctx context.Context, w io.Writer, args ...string) error {
	cmd := s.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("uid %d: %s: %w", s.uid, strings.Join(args, " "), err)
	}
	return nil
}

// Command returns a command that is to run on the machine, for those who need
// its pipes or want it in the background. It is killed when ctx ends, and dies
// with the machine. If the machine is off, starting it is an error.
//
// The command's namespaces are the machine's, its cgroup is not: it belongs to
// no unit of the machine's systemd, and survives a soft reboot. What needs a
// unit can be run with systemd-run.
func (s *Shell) Command(ctx context.Context, args ...string) *exec.Cmd {
	leader, err := s.m.host.leaderPID()
	enter := []string{"--target", strconv.Itoa(leader),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
		// conmon fails in a working directory that is not of the machine.
		"--root", "--wd",
		// Left to fork by itself, nsenter stops itself when its child is
		// stopped, as systemd stops all when it shuts down, and nobody wakes
		// it up again. A shell that stays outside of the PID namespace waits
		// for nothing but the child's end.
		"--no-fork", "sh", "-c", `"$@"; exit $?`, "sh",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb"}
	if s.uid == 0 {
		enter = append(enter, "HOME=/root", "USER=root")
	} else {
		id, runtime := strconv.Itoa(s.uid), "/run/user/"+strconv.Itoa(s.uid)
		enter = append(enter, "HOME=/home/archy", "USER=archy",
			"XDG_RUNTIME_DIR="+runtime, "DBUS_SESSION_BUS_ADDRESS=unix:path="+runtime+"/bus",
			"setpriv", "--reuid="+id, "--regid="+id, "--init-groups")
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	if err != nil && cmd.Err == nil {
		cmd.Err = err
	}
	// Killing the shell alone would leave the command itself running.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A command may leave a background process that holds its output open.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Show returns the unit's properties of these names, all of them if none is
// named, as systemctl show prints them; of the user's manager if the shell is a
// user's. Asking about a unit that does not exist is no error: its LoadState
// is "not-found".
func (s *Shell) Show(unit string, props ...string) map[string]string {
	s.m.t.Helper()
	args := append(s.systemctl(), "show", "--property="+strings.Join(props, ","), "--", unit)
	if len(props) == 0 {
		args = append(s.systemctl(), "show", "--", unit)
	}
	values := map[string]string{}
	for line := range strings.Lines(s.MustRun(args...)) {
		// A value that goes over several lines keeps its first one only.
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			values[name] = value
		}
	}
	return values
}

// systemctl returns the command that talks to the shell's manager.
func (s *Shell) systemctl() []string {
	if s.uid == 0 {
		return []string{"systemctl"}
	}
	return []string{"systemctl", "--user"}
}

// awaitUserManager waits until the user's manager has finished its start-up,
// which linger begins at boot and which nothing in the system waits for.
func (s *Shell) awaitUserManager(ctx context.Context) error {
	root := &Shell{m: s.m}
	unit := fmt.Sprintf("user@%d.service", s.uid)
	// Waits for the job that is under way, if there is one.
	if _, err := root.RunContext(ctx, "systemctl", "start", unit); err != nil {
		return err
	}
	_, err := s.RunContext(ctx, "systemctl", "--user", "is-system-running", "--wait")
	// A degraded manager is up all the same; what failed is the test's affair.
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return nil
	}
	return err
}

package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"archy-recovery/test/machine"
	"archy-recovery/test/vm/wire"
)

// Shell runs commands on a machine as one user. A [VM] itself is root's shell;
// [VM.As] returns the others.
type Shell struct {
	m   *VM
	uid int
}

// As returns a shell whose commands run as this uid, in the environment of that
// user's manager.
func (m *VM) As(uid int) *Shell { return &Shell{m: m, uid: uid} }

// ExitError is the error of a command that ended by itself with another status
// than 0.
type ExitError struct {
	Status int
	text   string
}

func (e *ExitError) Error() string { return e.text }

// Run runs a command to its end and returns its standard output. The error of a
// failed command holds its arguments and its output. It is an [ExitError] if the
// command ended by itself.
func (s *Shell) Run(args ...string) (string, error) {
	ctx, cancel := s.m.timeout("the command " + args[0])
	defer cancel()
	return s.RunContext(ctx, args...)
}

// RunContext is Run with the context's limit instead of the machine's.
func (s *Shell) RunContext(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, nil, args...)
}

func (s *Shell) run(ctx context.Context, stdin []byte, args ...string) (string, error) {
	q := s.m.q.Load()
	if q == nil {
		return "", errors.New("the machine is off")
	}
	limit := s.m.opts.Limit
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	if s.uid != 0 {
		args = append(append([]string{"env"}, machine.EnvAs(s.uid)...), args...)
	}
	reply, err := q.run(ctx, wire.Request{Args: args, Stdin: stdin, Limit: limit})
	if err == nil && reply.Error != "" {
		err = errors.New(reply.Error)
	}
	what := fmt.Sprintf("uid %d: %s", s.uid, strings.Join(args, " "))
	if err != nil {
		return string(reply.Stdout), fmt.Errorf("%s: %w\n%s%s", what, err, reply.Stdout, reply.Stderr)
	}
	if reply.Exit != 0 {
		return string(reply.Stdout), &ExitError{reply.Exit,
			fmt.Sprintf("%s: exit status %d\n%s%s", what, reply.Exit, reply.Stdout, reply.Stderr)}
	}
	return string(reply.Stdout), nil
}

// MustRun is Run for a command that must succeed. If it fails, the test ends.
func (s *Shell) MustRun(args ...string) string {
	s.m.t.Helper()
	out, err := s.Run(args...)
	s.m.must("run", err)
	return out
}

// WriteFile makes or replaces a file on the machine, which must be on, and makes
// its directories. The shell's user owns them.
func (s *Shell) WriteFile(path, content string, mode fs.FileMode) {
	s.m.t.Helper()
	ctx, cancel := s.m.timeout("writing " + path)
	defer cancel()
	_, err := s.run(ctx, []byte(content), "sh", "-c", `mkdir -p "$1" && cat >"$2" && chmod "$3" "$2"`, "sh",
		filepath.Dir(path), path, fmt.Sprintf("%o", mode.Perm()))
	s.m.must("write "+path, err)
}

// ReadFile returns the content of a file on the machine, which must be on.
func (s *Shell) ReadFile(path string) (string, error) { return s.Run("cat", path) }

// Install installs a Debian package from a file of the host.
func (m *VM) Install(deb string) {
	m.t.Helper()
	content, err := os.ReadFile(deb)
	m.must("install", err)
	path := "/var/tmp/" + filepath.Base(deb)
	m.WriteFile(path, string(content), 0o644)
	m.MustRun("dpkg", "--install", path)
	m.MustRun("rm", path)
}

// WaitFor calls done every 200 ms until it returns true. After the timeout it
// ends the test. Use it only for conditions without an event.
func (m *VM) WaitFor(timeout time.Duration, desc string, done func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(timeout); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("vm: gave up after %v: no sign of %s", timeout, desc)
		}
	}
}

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// User is the uid of the user whose rootless containers are tested.
const User = machine.User

// Options say what a machine is made of.
type Options struct {
	FS      FileSystem
	Memory  int           // in MiB; 0 is 2048
	Devices []string      // arguments of QEMU's for more devices
	Limit   time.Duration // for a boot, a power-off or a command; 0 is 4 minutes
}

func (o Options) memory() int {
	if o.Memory == 0 {
		return 2048
	}
	return o.Memory
}

// VM is one virtual machine, on or off. Commands run on it as root; see
// [VM.As] for the user's.
//
// Methods without an error result end the test when they fail, so they must be
// called from the test's own goroutine.
type VM struct {
	*Shell
	t    machine.TB
	opts Options
	dir  string
	q    atomic.Pointer[qemu] // nil when off
}

// Start makes a machine with a fresh disk, off. When the test ends, however it
// ends, nothing of the machine is left; if the test failed, the end of its
// console is logged first.
//
// The first Start on a host makes the disk, which takes about a minute.
func Start(t machine.TB, opts Options) *VM {
	t.Helper()
	if testing.Testing() && testing.Short() {
		t.Skipf("virtual machines are left out by -short")
	}
	if opts.Limit == 0 {
		opts.Limit = 4 * time.Minute
	}
	m := &VM{t: t, opts: opts}
	m.Shell = &Shell{m: m}
	if err := m.make(); err != nil {
		t.Fatalf("vm: %v", err)
	}
	return m
}

func (m *VM) make() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the disk's programs are this host's (%s), and the virtual machine is an amd64", runtime.GOARCH)
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return fmt.Errorf("%w; \"make power-test\" installs what virtual machines need", err)
	}
	// Making a disk is bound by the network, not by the caller's limit.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	made, err := diskDir(ctx, m.opts.FS, os.Stderr)
	if err != nil {
		return err
	}
	dir, lock, err := newDir()
	if err != nil {
		return err
	}
	m.dir = dir
	m.t.Cleanup(func() { m.end(lock) })
	for _, name := range []string{kernelName, initrdName, diskName} {
		if err := copyFile(ctx, filepath.Join(made, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (m *VM) end(lock *os.File) {
	if m.t.Failed() {
		m.t.Logf("the machine's console ends with:\n%s", tail(m.Console(), 6000))
	}
	if q := m.q.Load(); q != nil {
		q.kill()
	}
	if err := errors.Join(os.RemoveAll(m.dir), lock.Close()); err != nil {
		m.t.Errorf("vm: %v", err)
	}
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// Console returns what the kernel and PID 1 have printed, over all boots.
func (m *VM) Console() string {
	text, err := os.ReadFile(filepath.Join(m.dir, consoleName))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// timeout returns the context for one thing that the machine's limit bounds.
func (m *VM) timeout(what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), m.opts.Limit, fmt.Errorf("%s took longer than %v", what, m.opts.Limit))
}

// must ends the test with an error, if there is one.
func (m *VM) must(what string, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("vm: %s: %v", what, err)
	}
}

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

// Options describe a machine.
type Options struct {
	FS      FileSystem
	Memory  int                 // in MiB; 0 is 2048
	Devices []string            // QEMU's arguments for additional devices
	Limit   time.Duration       // for a boot, a power-off or a command; 0 is 4 minutes
	Images  []machine.ImageSpec // in podman's stores, in addition to the test application's
	Publish int                 // a TCP port of the machine that [VM.Dial] reaches
}

func (o Options) memory() int {
	if o.Memory == 0 {
		return 2048
	}
	return o.Memory
}

// VM is one virtual machine, on or off. Commands run on it as root; see [VM.As]
// for commands of the user.
//
// Methods without an error result end the test when they fail, so only the
// test's own goroutine may call them.
type VM struct {
	*Shell
	t    machine.TB
	opts Options
	dir  string
	port int                  // of the host, for Options.Publish
	q    atomic.Pointer[qemu] // nil when off
}

// Start makes a machine with a fresh disk. It is off. When the test ends in any
// way, the machine is removed completely. If the test failed, the end of its
// console is logged first.
//
// The first Start on a host makes the disk, which takes about a minute.
func Start(t machine.TB, opts Options) *VM {
	t.Helper()
	if testing.Testing() && testing.Short() {
		t.Skipf("-short skips virtual machines")
	}
	if opts.Limit == 0 {
		opts.Limit = 4 * time.Minute
	}
	m := &VM{t: t, opts: opts}
	m.Shell = &Shell{m: m}
	if err := m.prepare(); err != nil {
		t.Fatalf("vm: %v", err)
	}
	return m
}

// prepare makes the machine's directory with its disk and kernel.
func (m *VM) prepare() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the virtual machine is an amd64, and the programs on its disk are this host's (%s)",
			runtime.GOARCH)
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return fmt.Errorf("%w; \"make power-test\" installs the programs for virtual machines", err)
	}
	if m.opts.Publish != 0 {
		port, err := freePort()
		if err != nil {
			return err
		}
		m.port = port
	}
	// The network limits how fast a disk is made, so the test's limit does not apply.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	made, err := diskDir(ctx, m.opts, os.Stderr)
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

// Console returns the output of the kernel and PID 1, of all boots.
func (m *VM) Console() string {
	text, err := os.ReadFile(filepath.Join(m.dir, consoleName))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// timeout returns a context with the machine's limit, for one operation.
func (m *VM) timeout(what string) (context.Context, context.CancelFunc) {
	tooLong := fmt.Errorf("%s took longer than %v", what, m.opts.Limit)
	return context.WithTimeoutCause(context.Background(), m.opts.Limit, tooLong)
}

// must ends the test if there is an error.
func (m *VM) must(what string, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("vm: %s: %v", what, err)
	}
}

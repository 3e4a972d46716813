package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"archy-recovery/test/change"
	"archy-recovery/test/vm/wire"
)

// Names in a machine's directory, in addition to those of diskDir.
const (
	consoleName = "console.log"
	agentName   = "agent.sock"
	monitorName = "qmp.sock"
	erstName    = "erst"
)

// qemu is a machine that is on. It does not depend on a test.
type qemu struct {
	*change.State // guards gone, boot, lastID and waiting
	cmd           *exec.Cmd
	stderr        strings.Builder // read only after QEMU has ended

	gone    bool             // QEMU has ended
	boot    string           // the boot ID of the agent's last greeting
	lastID  int              // the ID of the last request
	waiting map[int]*pending // requests without a reply, by ID
	agent   net.Conn
	monitor net.Conn
}

// A pending request was sent in one boot. It fails when that boot ends.
type pending struct {
	boot  string
	reply *wire.Reply
}

// startQemu switches a machine on and returns when QEMU accepts commands.
func startQemu(ctx context.Context, dir string, opts Options, forward string, params []string) (*qemu, error) {
	q := &qemu{State: change.NewState(), waiting: map[int]*pending{}}
	agent, err := listen(dir, agentName)
	if err != nil {
		return nil, err
	}
	defer agent.Close()
	monitor, err := listen(dir, monitorName)
	if err != nil {
		return nil, err
	}
	defer monitor.Close()

	q.cmd = exec.Command("qemu-system-x86_64", arguments(opts, forward, params)...)
	q.cmd.Dir = dir
	q.cmd.Stderr = &q.stderr
	// An interrupt from the terminal must end only the test.
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		// The parent-death signal comes when the forking thread ends.
		runtime.LockOSThread()
		err := q.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = q.cmd.Wait()
		agent.Close() // ends an Accept that waits for QEMU
		monitor.Close()
		q.Change(func() { q.gone = true })
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	// Only closing a listener ends its Accept.
	defer context.AfterFunc(ctx, func() { agent.Close(); monitor.Close() })()
	if q.monitor, err = monitor.Accept(); err == nil {
		q.agent, err = agent.Accept()
	}
	if err != nil {
		q.kill()
		return nil, fmt.Errorf("start QEMU: %w\n%s", err, q.stderr.String())
	}
	go q.listenAgent()
	go q.listenMonitor()
	if err := q.tell(`{"execute":"qmp_capabilities"}`); err != nil {
		q.kill()
		return nil, err
	}
	return q, nil
}

func listen(dir, name string) (net.Listener, error) {
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

func arguments(opts Options, forward string, params []string) []string {
	cmdline := []string{"root=/dev/vda", "rw", "rootfstype=" + opts.FS.Type, "console=ttyS0", "panic=-1",
		"quiet", "systemd.show_status=0"}
	accel, cpu := "kvm", "host"
	if !haveKVM() {
		accel, cpu = "tcg,thread=multi", "Haswell-noTSX"
		// An emulated clock is late at times; the kernel must not give up on it.
		cmdline = append(cmdline, "tsc=reliable")
	}
	if opts.FS.Flags != "" {
		cmdline = append(cmdline, "rootflags="+opts.FS.Flags)
	}
	args := []string{"-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "pc", "-accel", accel, "-cpu", cpu,
		"-smp", "2", "-m", strconv.Itoa(opts.memory()),
		"-kernel", kernelName, "-initrd", initrdName, "-append", strings.Join(append(cmdline, params...), " "),
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file=" + diskName,
		"-device", "virtio-blk-pci,drive=disk",
		"-chardev", "file,id=console,append=on,path=" + consoleName, "-serial", "chardev:console",
		"-chardev", "socket,id=agent,path=" + agentName, "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=agent,name=" + wire.Port,
		"-chardev", "socket,id=monitor,path=" + monitorName, "-mon", "chardev=monitor,mode=control",
		// The firmware's memory for error records, which pstore uses. It is kept when
		// the machine is off.
		"-object", "memory-backend-file,id=erst,size=64K,share=on,mem-path=" + erstName,
		"-device", "acpi-erst,memdev=erst",
		"-device", "virtio-rng-pci",
		// QEMU's own router (user-mode networking). It leads neither to the host nor further.
		"-netdev", "user,id=lan,restrict=on" + forward, "-device", "virtio-net-pci,netdev=lan",
	}
	return append(args, opts.Devices...)
}

// haveKVM reports whether the host's CPU runs the machine. /dev/kvm alone says little: a
// host that is a paravirtual machine has one (kvm_pvm), and a kernel of Debian does not
// boot on that.
func haveKVM() bool {
	modules, err := filepath.Glob("/sys/module/kvm_[ai][mn][dt]*")
	if err != nil || len(modules) == 0 {
		return false
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// kill kills QEMU and returns when it has ended.
func (q *qemu) kill() {
	_ = q.cmd.Process.Kill() // it may have ended by itself
	_ = q.Await(context.Background(), "QEMU's end", func() (bool, error) { return q.gone, nil })
	for _, conn := range []io.Closer{q.agent, q.monitor} {
		if conn != nil {
			conn.Close()
		}
	}
}

// awaitOff waits until the machine has switched itself off.
func (q *qemu) awaitOff(ctx context.Context) error {
	return q.Await(ctx, "the machine to go off", func() (bool, error) { return q.gone, nil })
}

// awaitBoot waits for the agent's greeting in a boot with another ID than old.
func (q *qemu) awaitBoot(ctx context.Context, old string) error {
	return q.Await(ctx, "the boot", func() (bool, error) {
		if q.gone {
			return false, fmt.Errorf("QEMU has ended\n%s", q.stderr.String())
		}
		return q.boot != "" && q.boot != old, nil
	})
}

// bootID returns the boot ID of the agent's last greeting.
func (q *qemu) bootID() string {
	q.Lock()
	defer q.Unlock()
	return q.boot
}

package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"archy-recovery/test/change"

	"golang.org/x/sys/unix"
)

// host is a machine seen from outside: its directory, its supervisor, and
// whether it is on. It does not depend on a test. Its methods may be called from
// several goroutines.
type host struct {
	dir    string
	cmd    *exec.Cmd
	orders io.WriteCloser
	stderr bytes.Buffer // read only after cmd.Wait

	state  *change.State // guards the fields below
	leader int           // host's PID of the machine's PID 1; 0 when off
	status int           // nspawn's last exit status
	on     bool          // ordered to boot, and nspawn has not exited since
	ready  bool          // systemd has finished its start-up
	ended  bool          // the supervisor's output has ended
}

// newHost makes a machine on the tree, with a copy of the store. The machine is
// off. If store is "", its stores are empty.
func newHost(ctx context.Context, tree, store string) (_ *host, err error) {
	runDir, err := runDir()
	if err != nil {
		return nil, err
	}
	dir, lock, err := newMachineDir(ctx, runDir)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the supervisor inherits the lock
	h := &host{dir: dir, state: change.NewState()}
	if err := fillStores(ctx, dir, store); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := h.startSupervisor(supervisorConfig{RunDir: runDir, Dir: dir, Tree: tree}, lock); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, nil
}

func (h *host) startSupervisor(cfg supervisorConfig, lock *os.File) error {
	arg, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	h.cmd = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{supervisorArg0, string(arg)},
		Env:        []string{"PATH=" + os.Getenv("PATH")},
		Dir:        "/",
		Stderr:     &h.stderr,
		ExtraFiles: []*os.File{lock},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS,
			// An interrupt from the terminal must end only the test. The supervisor
			// sees the end of the test by the pipe, and then cleans up.
			Setsid: true,
		},
	}
	if h.orders, err = h.cmd.StdinPipe(); err != nil {
		return err
	}
	reports, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return fmt.Errorf("start the machine's supervisor: %w", err)
	}
	in := bufio.NewReader(reports)
	if line, _ := in.ReadString('\n'); strings.TrimSpace(line) != reportUp {
		h.orders.Close()
		err := h.cmd.Wait()
		return fmt.Errorf("the machine's supervisor failed: %w\n%s", err, h.stderr.String())
	}
	go h.listen(in)
	return nil
}

// listen reads the supervisor's reports until it ends.
func (h *host) listen(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		word, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(number)
		h.state.Change(func() {
			switch {
			case err != nil:
				h.on, h.ready, h.leader, h.ended = false, false, 0, true
			case word == reportLeader:
				h.leader = h.hostPID(n)
			case word == reportReady:
				h.ready = true
			case word == reportExit:
				h.on, h.ready, h.leader, h.status = false, false, 0, n
			}
		})
		if err != nil {
			return
		}
	}
}

// hostPID converts a PID of the supervisor's PID namespace to the host's. It
// searches the supervisor's descendants. It returns 0 if the process has ended.
func (h *host) hostPID(inner int) int {
	depth := len(namespacePIDs(h.cmd.Process.Pid)) - 1
	todo := []int{h.cmd.Process.Pid}
	for len(todo) > 0 {
		pid := todo[0]
		if pids := namespacePIDs(pid); depth >= 0 && len(pids) > depth && pids[depth] == inner {
			return pid
		}
		todo = append(todo[1:], childPIDs(pid)...)
	}
	return 0
}

// namespacePIDs returns the process's PID in this PID namespace and in each
// nested one.
func namespacePIDs(pid int) []int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return numbers(list)
		}
	}
	return nil
}

func childPIDs(pid int) (all []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		all = append(all, numbers(string(text))...)
	}
	return all
}

func numbers(list string) (all []int) {
	for _, field := range strings.Fields(list) {
		if n, err := strconv.Atoi(field); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// boot orders the machine to boot and returns when its PID 1 exists.
func (h *host) boot(ctx context.Context) error {
	h.state.Lock()
	if h.on || h.ended {
		defer h.state.Unlock()
		return fmt.Errorf("cannot boot: on %t, supervisor ended %t", h.on, h.ended)
	}
	h.on = true
	h.state.Unlock()
	if _, err := fmt.Fprintln(h.orders, orderBoot); err != nil {
		return fmt.Errorf("order the boot: %w", err)
	}
	return h.state.Await(ctx, "PID 1", func() (bool, error) {
		return h.leader != 0, h.offError()
	})
}

// awaitReady waits until the machine's systemd has finished its start-up.
func (h *host) awaitReady(ctx context.Context) error {
	return h.state.Await(ctx, "the end of start-up", func() (bool, error) {
		return h.ready, h.offError()
	})
}

// expectReady makes awaitReady wait for a start-up that has not begun yet.
func (h *host) expectReady() {
	h.state.Change(func() { h.ready = false })
}

// awaitOff waits until no process of the machine is left.
func (h *host) awaitOff(ctx context.Context) error {
	return h.state.Await(ctx, "the machine to go off", func() (bool, error) { return !h.on, nil })
}

// offError returns an error if the machine is off. The caller holds the lock.
func (h *host) offError() error {
	if !h.on {
		return fmt.Errorf("the machine is off (nspawn's exit status %d)\n%s", h.status, h.console())
	}
	return nil
}

// console returns the output of PID 1 and nspawn, of all boots.
func (h *host) console() string {
	text, err := os.ReadFile(filepath.Join(h.dir, consoleName))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r", "")
}

// leaderPID returns the host's PID of the machine's PID 1, or an error if the
// machine is off.
func (h *host) leaderPID() (int, error) {
	h.state.Lock()
	defer h.state.Unlock()
	if h.leader == 0 {
		return 0, errors.New("the machine is off")
	}
	return h.leader, nil
}

// pullPlug kills the machine's PID 1, and so every process of its PID namespace.
// It waits until all of them have ended.
func (h *host) pullPlug(ctx context.Context) error {
	pid, err := h.leaderPID()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the machine's PID 1: %w", err)
	}
	return h.awaitOff(ctx)
}

// diskPath returns a path of the machine's root directory that this process can
// open. If the machine is on, the path shows its mounts, such as /run. If it is
// off, the path shows the bare disk.
func (h *host) diskPath() string {
	if pid, err := h.leaderPID(); err == nil {
		return fmt.Sprintf("/proc/%d/root", pid)
	}
	return fmt.Sprintf("/proc/%d/root%s", h.cmd.Process.Pid, filepath.Join(h.dir, rootName))
}

// close ends the machine, on or off, and returns when it is removed completely.
func (h *host) close() error {
	h.orders.Close()
	// Wait closes the pipe that listen reads, so listen must end first.
	ended := func() (bool, error) { return h.ended, nil }
	if err := h.state.Await(context.Background(), "the supervisor's end", ended); err != nil {
		return err
	}
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("the machine's supervisor: %w\n%s", err, h.stderr.String())
	}
	return nil
}

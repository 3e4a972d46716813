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
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// host is a machine seen from outside: its directory, its supervisor, and
// whether it is on. It knows nothing of tests. Its methods may be called from
// several goroutines.
type host struct {
	dir    string
	cmd    *exec.Cmd
	orders io.WriteCloser
	stderr bytes.Buffer // read only after cmd.Wait

	mu      sync.Mutex
	leader  int           // host's PID of the machine's PID 1; 0 when off
	status  int           // nspawn's last exit status
	changed chan struct{} // closed and replaced at every change of what follows
	on      bool          // ordered to boot, not yet known to be gone
	ready   bool          // systemd has finished its start-up
	ended   bool          // the supervisor says no more
}

// newHost makes a machine, off, on the tree, with a copy of the store; an empty
// store name means empty stores.
func newHost(ctx context.Context, tree, store string) (_ *host, err error) {
	runDir, err := runDir()
	if err != nil {
		return nil, err
	}
	dir, lock, err := newMachineDir(ctx, runDir)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the supervisor has it from then on
	h := &host{dir: dir, changed: make(chan struct{})}
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
			// An interrupt from the terminal is for the test; the supervisor
			// learns of the test's end from the pipe, and then has work to do.
			Setsid: true,
		},
	}
	if h.orders, err = h.cmd.StdinPipe(); err != nil {
		return err
	}
	said, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return fmt.Errorf("start the machine's supervisor: %w", err)
	}
	in := bufio.NewReader(said)
	if line, _ := in.ReadString('\n'); strings.TrimSpace(line) != sayUp {
		h.orders.Close()
		err := h.cmd.Wait()
		return fmt.Errorf("the machine's supervisor failed: %w\n%s", err, h.stderr.String())
	}
	go h.listen(in)
	return nil
}

// listen follows what the supervisor says until it ends.
func (h *host) listen(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		word, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(number)
		h.mu.Lock()
		switch {
		case err != nil:
			h.on, h.ready, h.leader, h.ended = false, false, 0, true
		case word == sayLeader:
			h.leader = h.hostPID(n)
		case word == sayReady:
			h.ready = true
		case word == sayExit:
			h.on, h.ready, h.leader, h.status = false, false, 0, n
		}
		close(h.changed)
		h.changed = make(chan struct{})
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hostPID turns a PID of the supervisor's PID namespace into the host's, by
// looking through the supervisor's descendants. It returns 0 for one that is
// gone already.
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

// namespacePIDs returns the process's PID in our PID namespace and in each one
// below it.
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
	h.mu.Lock()
	if h.on || h.ended {
		defer h.mu.Unlock()
		return fmt.Errorf("cannot boot: on %t, supervisor ended %t", h.on, h.ended)
	}
	h.on = true
	h.mu.Unlock()
	if _, err := fmt.Fprintln(h.orders, orderBoot); err != nil {
		return fmt.Errorf("order the boot: %w", err)
	}
	return h.await(ctx, "PID 1", func() (bool, error) {
		return h.leader != 0, h.offError()
	})
}

// awaitReady waits until the machine's systemd has finished its start-up.
func (h *host) awaitReady(ctx context.Context) error {
	return h.await(ctx, "the end of start-up", func() (bool, error) {
		return h.ready, h.offError()
	})
}

// expectReady makes awaitReady wait for a start-up that is still to begin.
func (h *host) expectReady() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = false
}

// awaitOff waits until no process of the machine is left.
func (h *host) awaitOff(ctx context.Context) error {
	return h.await(ctx, "the machine to go off", func() (bool, error) { return !h.on, nil })
}

// offError is for await's functions: the error to give up with if the machine
// is off.
func (h *host) offError() error {
	if !h.on {
		return fmt.Errorf("the machine is off (nspawn's exit status %d)\n%s", h.status, h.console())
	}
	return nil
}

// await waits until done says yes or fails; done is called with the lock held,
// at every change.
func (h *host) await(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		h.mu.Lock()
		ok, err := done()
		changed := h.changed
		h.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}

// console returns all that PID 1 and nspawn have printed, over all boots.
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
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leader == 0 {
		return 0, errors.New("the machine is off")
	}
	return h.leader, nil
}

// pullPlug kills the machine's PID 1, and with it everything in its PID
// namespace, and waits until all is gone.
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

// diskPath returns where the machine's root directory is seen from here: as the
// machine sees it when it is on, with its /run, and the bare disk when it is
// off.
func (h *host) diskPath() string {
	if pid, err := h.leaderPID(); err == nil {
		return fmt.Sprintf("/proc/%d/root", pid)
	}
	return fmt.Sprintf("/proc/%d/root%s", h.cmd.Process.Pid, filepath.Join(h.dir, rootName))
}

// close ends the machine, on or off, and returns when nothing of it is left.
func (h *host) close() error {
	h.orders.Close()
	// Wait closes the pipe that listen reads, so listen goes first.
	if err := h.await(context.Background(), "the supervisor's end", func() (bool, error) { return h.ended, nil }); err != nil {
		return err
	}
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("the machine's supervisor: %w\n%s", err, h.stderr.String())
	}
	return nil
}

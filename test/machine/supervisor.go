package machine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// supervisorArg0 is the argv[0] that makes this program a supervisor. A child
// cannot inherit it by accident, unlike an environment variable.
const supervisorArg0 = "archy-machine-supervisor"

// supervisorConfig is the supervisor's only argument, as JSON.
type supervisorConfig struct {
	RunDir string // Directory of all machines' directories, see runDir.
	Dir    string // This machine's directory, see the constants below.
	Tree   string // The overlay's lower layer.
}

// Names in a machine's directory. The machine's disk is mounted at rootName, in
// the supervisor's mount namespace only.
const (
	rootName      = "root"
	upperName     = "upper"
	workName      = "work"
	rootStoreName = "store-root"
	userStoreName = "store-user"
	consoleName   = "console.log"
	notifyName    = "notify"
	lockName      = "lock"
)

// binds maps directories of the machine's disk to the directories that are bound
// there. Those are in the machine's directory, or in a cached store.
var binds = map[string]string{
	"var/lib/containers":                 rootStoreName,
	"home/archy/.local/share/containers": userStoreName,
}

// orderBoot is the only order, a line on the supervisor's standard input. The end
// of the input means that the machine must be removed.
const orderBoot = "boot"

// The supervisor's reports, one line each on its standard output.
const (
	reportUp     = "up"     // the disk is mounted
	reportLeader = "leader" // + PID of the machine's PID 1, in the supervisor's PID namespace
	reportReady  = "ready"  // the machine's systemd has finished its start-up
	reportExit   = "exit"   // + nspawn's exit status; no process of the machine is left
)

func init() {
	if os.Args[0] != supervisorArg0 {
		return
	}
	// supervise changes the cgroup namespace of this thread only. nspawn's
	// parent-death signal comes when the thread ends that forked it.
	runtime.LockOSThread()
	if err := supervise(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "machine supervisor:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// supervise mounts the disk, boots and watches the machine as ordered until the
// orders end, and then removes everything.
//
// It must be PID 1 of a new PID namespace, in a new mount namespace.
func supervise(arg string) (err error) {
	if os.Getpid() != 1 {
		return errors.New("the supervisor is not PID 1 of its own PID namespace")
	}
	// The reader may be gone, and the clean-up must run all the same. The signals
	// are caught, not ignored, because nspawn would inherit ignored signals.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)

	var cfg supervisorConfig
	if err := json.Unmarshal([]byte(arg), &cfg); err != nil {
		return err
	}
	cg, err := prepareMounts(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(cfg, cg)) }()
	if err := mountDisk(cfg); err != nil {
		return err
	}
	addr := &net.UnixAddr{Name: filepath.Join(cfg.Dir, notifyName), Net: "unixgram"}
	notify, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		return err
	}
	defer notify.Close()
	go forwardNotify(notify)
	fmt.Println(reportUp)

	orders := make(chan string)
	go func() {
		defer close(orders)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			orders <- in.Text()
		}
	}()
	exited := make(chan error, 1)
	var nspawn *exec.Cmd
	for {
		select {
		case order, more := <-orders:
			switch {
			case !more:
				if nspawn != nil {
					cg.kill()
					nspawn.Process.Kill()
					<-exited
				}
				return nil
			case order == orderBoot && nspawn == nil:
				if nspawn, err = startNspawn(cfg); err != nil {
					return err
				}
				cmd := nspawn
				go func() { exited <- cmd.Wait() }()
			default:
				return fmt.Errorf("unexpected order %q", order)
			}
		case <-exited:
			// nspawn kills its machine when it ends. If nspawn was killed itself,
			// children may remain, which hold the cgroup and the disk.
			cg.kill()
			reap()
			status := nspawn.ProcessState.ExitCode()
			nspawn = nil
			if err := cg.removeChildren(); err != nil {
				return err
			}
			fmt.Println(reportExit, status)
		}
	}
}

// prepareMounts prepares the mount namespace for nspawn, removes the remains of
// killed supervisors, and moves this process into a new cgroup.
func prepareMounts(cfg supervisorConfig) (*cgroup, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount /proc: %w", err)
	}
	// A killed nspawn leaves locks and sockets here.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount /run: %w", err)
	}
	if err := mountCgroups(); err != nil {
		return nil, err
	}
	if err := sweep(cfg.RunDir); err != nil {
		return nil, fmt.Errorf("remove the remains of killed machines: %w", err)
	}
	return enterCgroup(cgroupName(cfg.Dir))
}

func mountDisk(cfg supervisorConfig) error {
	root := filepath.Join(cfg.Dir, rootName)
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
		cfg.Tree, filepath.Join(cfg.Dir, upperName), filepath.Join(cfg.Dir, workName))
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount an overlay with %s: %w; the cache must be on a real disk, see ARCHY_MACHINE_CACHE",
			options, err)
	}
	for to, from := range binds {
		if err := unix.Mount(filepath.Join(cfg.Dir, from), filepath.Join(root, to), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", to, err)
		}
	}
	return nil
}

// startNspawn boots the machine. It returns at once.
func startNspawn(cfg supervisorConfig) (*exec.Cmd, error) {
	console, err := os.OpenFile(filepath.Join(cfg.Dir, consoleName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	cmd := exec.Command("systemd-nspawn",
		"--quiet",
		"--directory="+filepath.Join(cfg.Dir, rootName),
		"--machine="+cgroupName(cfg.Dir),
		"--hostname=archy",
		"--boot",
		"--notify-ready=yes", // READY=1 comes when the machine's systemd has finished
		"--register=no",      // the host needs no machined …
		"--keep-unit",        // … and no scope: the supervisor has its own cgroup
		"--private-network",  // two machines must not share ports
		"--capability=all",   // podman needs most of them, as on a real host
		"--system-call-filter=@known",
		"--bind=/dev/fuse",
		"--link-journal=no",
		"--resolv-conf=off",
		"--timezone=off",
		"--console=read-only",
		// Arguments of the machine's systemd, like those of a kernel command line.
		"--", "--show-status=1",
	)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"NOTIFY_SOCKET=" + filepath.Join(cfg.Dir, notifyName),
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
		// If /proc and /sys are read-only, the kernel does not let podman mount
		// new ones.
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=1",
	}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start systemd-nspawn: %w", err)
	}
	return cmd, nil
}

// forwardNotify turns nspawn's notifications into reports.
func forwardNotify(conn *net.UnixConn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			line = strings.TrimSpace(line)
			if pid, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
				fmt.Println(reportLeader, pid)
			}
			if line == "READY=1" {
				fmt.Println(reportReady)
			}
		}
	}
}

// reap waits until this process has no children any more. It is the parent of all
// orphans in its PID namespace.
func reap() {
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// removeAll undoes everything that supervise did. When it is called, no process
// of the machine runs any more, except orphans that are just dying.
func removeAll(cfg supervisorConfig, cg *cgroup) error {
	cg.kill()
	reap()
	root := filepath.Join(cfg.Dir, rootName)
	// The binds and the overlay show files of this machine's directory again. A
	// removal through them would not end, so they are unmounted first.
	for to := range binds {
		unix.Unmount(filepath.Join(root, to), unix.MNT_DETACH)
	}
	if err := unix.Unmount(root, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", root, err)
	}
	if err := cg.leave(); err != nil {
		return err
	}
	return os.RemoveAll(cfg.Dir)
}

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where the supervisor sees the unified hierarchy. While it is in
// its own cgroup, it sees only that one there; before and after, the host's.
const cgroupRoot = "/sys/fs/cgroup"

// cgroup is the supervisor's own cgroup.
type cgroup struct {
	name      string
	home      string   // cgroup that this process came from, below cgroupRoot
	namespace *os.File // cgroup namespace that this process came from
	inside    bool     // cgroupRoot is this cgroup, not the host's root
}

// cgroupName returns the name of the machine in this directory, which is also
// the name of its cgroup.
func cgroupName(dir string) string { return "archy-machine-" + filepath.Base(dir) }

// mountCgroups mounts the host's unified hierarchy in place of the host's own
// mounts. The machine's systemd needs that layout.
func mountCgroups() error {
	// An error means that nothing was mounted there.
	unix.Unmount(cgroupRoot, unix.MNT_DETACH)
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", flags, ""); err != nil {
		return fmt.Errorf("mount the unified cgroup hierarchy: %w", err)
	}
	return nil
}

// enterCgroup makes the cgroup and moves this process into it. The cgroup becomes
// the root of this thread's cgroup namespace and of the mount at cgroupRoot. If
// enterCgroup fails, the cgroup does not exist afterwards.
func enterCgroup(name string) (*cgroup, error) {
	home, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	namespace, err := os.Open("/proc/thread-self/ns/cgroup")
	if err != nil {
		return nil, err
	}
	c := &cgroup{name: name, home: home, namespace: namespace}
	if err := c.enter(); err != nil {
		return nil, errors.Join(err, c.leave())
	}
	return c, nil
}

func (c *cgroup) enter() error {
	dir := filepath.Join(cgroupRoot, c.name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("enter a cgroup namespace: %w", err)
	}
	// A mount of the hierarchy shows the cgroup namespace of the mounting process.
	if err := mountCgroups(); err != nil {
		return err
	}
	c.inside = true
	return nil
}

// ownCgroup returns the path of this process's cgroup.
func ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path, nil
		}
	}
	return "", errors.New("this process is in no cgroup of the unified hierarchy: mount cgroup2 on the host")
}

// kill kills all processes in the cgroups below this one, not this process.
func (c *cgroup) kill() {
	if !c.inside {
		return // the visible cgroups are the host's
	}
	// A cgroup that has disappeared has no process left to kill.
	children, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.kill"))
	for _, file := range children {
		_ = os.WriteFile(file, []byte("1"), 0)
	}
}

// removeChildren removes the cgroups below this one.
func (c *cgroup) removeChildren() error {
	if !c.inside {
		return errors.New("not in the machine's cgroup")
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeCgroup(filepath.Join(cgroupRoot, e.Name())))
		}
	}
	return err
}

// leave moves this process back to its former cgroup and removes this one.
func (c *cgroup) leave() error {
	c.inside = false
	defer c.namespace.Close()
	if err := unix.Setns(int(c.namespace.Fd()), unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("leave the cgroup namespace: %w", err)
	}
	if err := mountCgroups(); err != nil {
		return err
	}
	home := filepath.Join(cgroupRoot, c.home, "cgroup.procs")
	if err := os.WriteFile(home, []byte("0"), 0); err != nil {
		return fmt.Errorf("leave the machine's cgroup: %w", err)
	}
	return removeCgroup(filepath.Join(cgroupRoot, c.name))
}

// removeCgroup removes a cgroup without processes, and all below it. A cgroup
// that does not exist is no error.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, removeOneCgroup(d))
	}
	return err
}

// removeOneCgroup retries for a second. For a moment the kernel still counts a
// process that was reaped, and there is no event for the end of that.
func removeOneCgroup(dir string) error {
	for deadline := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
}

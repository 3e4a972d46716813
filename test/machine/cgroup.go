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

// cgroupRoot is where the supervisor sees the unified hierarchy: the host's
// before it enters its own cgroup and after it has left it, and in between that
// one alone.
const cgroupRoot = "/sys/fs/cgroup"

// cgroup is the supervisor's own one.
type cgroup struct {
	name      string
	home      string   // cgroup that this process came from, below cgroupRoot
	namespace *os.File // cgroup namespace that this process came from
	inside    bool     // cgroupRoot is this cgroup, not the host's root
}

// cgroupName returns the name of the cgroup of the machine in this directory;
// the machine is called the same.
func cgroupName(dir string) string { return "archy-machine-" + filepath.Base(dir) }

// mountCgroups mounts the host's unified hierarchy over whatever hierarchies
// the host has, as the machine's systemd wants it.
func mountCgroups() error {
	// Not mounted at all is as good as unmounted.
	unix.Unmount(cgroupRoot, unix.MNT_DETACH)
	if err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount the unified cgroup hierarchy: %w", err)
	}
	return nil
}

// enterCgroup makes the cgroup, moves this process into it and makes it the
// root of this thread's cgroup namespace and of what is at cgroupRoot. When it
// fails, the cgroup does not exist.
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
	// What a mount of the hierarchy shows depends on who mounts it.
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
	return "", errors.New("this process is in no cgroup of the unified hierarchy")
}

// kill kills all processes in the cgroups below our own, not ourselves.
func (c *cgroup) kill() {
	if !c.inside {
		return // the cgroups that we see are the host's
	}
	// A cgroup that is gone in the meantime has nothing left to kill.
	children, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.kill"))
	for _, file := range children {
		_ = os.WriteFile(file, []byte("1"), 0)
	}
}

// clear removes the cgroups below our own.
func (c *cgroup) clear() error {
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

// leave moves this process back to where it came from and removes the cgroup.
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

// removeCgroup removes an empty cgroup with all below it. One that does not
// exist is no error.
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

// removeOneCgroup tries for a second: the kernel counts a process that was
// reaped as still there for a moment, and tells nobody when it stops to.
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

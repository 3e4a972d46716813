package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// runDir returns the directory below which every machine that exists has its
// own directory.
func runDir() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "run")
	return dir, os.MkdirAll(dir, 0o755)
}

// newMachineDir makes a machine's directory and takes the lock that says that
// it has an owner. The lock is the caller's, and of those that inherit the
// file, until all of them have ended or closed it.
func newMachineDir(ctx context.Context, runDir string) (dir string, lock *os.File, err error) {
	// Without this lock a sweep could come between making and locking.
	all, err := lockFile(ctx, filepath.Join(runDir, lockName))
	if err != nil {
		return "", nil, err
	}
	defer all.Close()
	if dir, err = os.MkdirTemp(runDir, "m"); err != nil {
		return "", nil, err
	}
	// The machine's root directory is as open as on any machine.
	err = os.Chmod(dir, 0o755)
	for _, name := range []string{rootName, upperName, workName} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	if err == nil {
		lock, err = TryLock(filepath.Join(dir, lockName))
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// sweep removes the directories and cgroups of machines whose owner was killed
// together with its supervisor. It must see the host's unified hierarchy at
// cgroupRoot. What cannot be removed yet is left to the next sweep.
func sweep(runDir string) error {
	all, err := lockFile(context.Background(), filepath.Join(runDir, lockName))
	if err != nil {
		return err
	}
	defer all.Close()
	entries, err := os.ReadDir(runDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(runDir, e.Name())
		lock, err := TryLock(filepath.Join(dir, lockName))
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // alive
		}
		if err != nil {
			return err
		}
		// The directory is what reminds us of the cgroup, so it goes last.
		if removeCgroup(filepath.Join(cgroupRoot, cgroupName(dir))) == nil {
			err = os.RemoveAll(dir)
		}
		lock.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// runDir returns the directory that holds a directory for every machine.
func runDir() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "run")
	return dir, os.MkdirAll(dir, 0o755)
}

// newMachineDir makes a machine's directory and locks it. The lock shows that the
// directory is in use. It lasts until all processes that inherited the file have
// closed it or ended.
func newMachineDir(ctx context.Context, runDir string) (dir string, lock *os.File, err error) {
	// Without this lock, a sweep could remove the directory before it is locked.
	all, err := lockFile(ctx, filepath.Join(runDir, lockName))
	if err != nil {
		return "", nil, err
	}
	defer all.Close()
	if dir, err = os.MkdirTemp(runDir, "m"); err != nil {
		return "", nil, err
	}
	// All users of the machine must be able to enter its root directory.
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

// sweep removes the directories and cgroups of machines whose test was killed
// together with their supervisor. The host's unified hierarchy must be mounted at
// cgroupRoot. The next sweep retries what cannot be removed yet.
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
			continue // in use
		}
		if err != nil {
			return err
		}
		// The name of the cgroup follows from the directory, so that goes last.
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

package vm

import (
	"errors"
	"os"
	"path/filepath"

	"archy-recovery/test/machine"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// newDir makes a machine's directory and locks it. The lock shows that the
// directory is in use. It also removes directories that are not in use.
func newDir() (dir string, lock *os.File, err error) {
	cache, err := machine.CacheDir()
	if err != nil {
		return "", nil, err
	}
	all := filepath.Join(cache, "vm-run")
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", nil, err
	}
	sweep(all)
	if dir, err = os.MkdirTemp(all, "m"); err != nil {
		return "", nil, err
	}
	lock, err = machine.TryLock(filepath.Join(dir, lockName))
	return dir, lock, err
}

// sweep removes the directories of machines whose test was killed. The next sweep
// retries what cannot be removed yet. A new directory that is not locked yet has
// no lock file, so it stays.
func sweep(all string) {
	locks, _ := filepath.Glob(filepath.Join(all, "*", lockName))
	for _, path := range locks {
		lock, err := machine.TryLock(path)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // in use
		}
		if err == nil {
			os.RemoveAll(filepath.Dir(path))
			lock.Close()
		}
	}
}

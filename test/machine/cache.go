package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// CacheDir returns the directory for the trees, the stores and the files of the
// running machines. It is $ARCHY_MACHINE_CACHE, else .cache/machine in the
// module. It must be on a real disk: an overlay's upper layer cannot be on
// another overlay, and a sync has no effect on a tmpfs.
func CacheDir() (string, error) {
	dir := os.Getenv("ARCHY_MACHINE_CACHE")
	if dir == "" {
		root, err := moduleDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, ".cache", "machine")
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("ARCHY_MACHINE_CACHE=%s is not an absolute path; set it to one", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// A supervisor's files are opened below /proc/PID/root. An absolute symbolic link
	// on the way would lead out of the supervisor's mounts.
	return filepath.EvalSymlinks(dir)
}

// moduleDir returns the nearest directory with a go.mod, at or above the working
// directory.
func moduleDir() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod at or above %s; set ARCHY_MACHINE_CACHE to a cache directory", start)
		}
	}
}

// Cached returns the cache's directory of this name. If it is missing, build
// fills a directory of another name, which is then renamed. So an interrupted
// build never counts. A lock makes several processes build a directory only once.
func Cached(ctx context.Context, name string, build func(dir string) error) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	lock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return "", err
	}
	if err := build(unfinished); err != nil {
		return "", errors.Join(err, os.RemoveAll(unfinished))
	}
	return dir, os.Rename(unfinished, dir)
}

// lockFile opens or makes the file and waits for an exclusive lock on it. The
// lock ends when the file is closed or the process ends.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := TryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		// A blocking flock would not return when the context ends.
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", path, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TryLock opens or makes the file and takes an exclusive lock on it. If another
// process holds the lock, the error is unix.EWOULDBLOCK.
func TryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

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

// CacheDir returns the directory that holds the trees, the stores and the
// running machines' files: $ARCHY_MACHINE_CACHE, else .cache/machine in the
// module. It must be on a real disk: an overlay's upper layer may not be on
// another overlay, and a tmpfs would hide what a sync does.
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
		return "", fmt.Errorf("ARCHY_MACHINE_CACHE=%s is not an absolute path", dir)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// moduleDir returns the nearest directory at or above the working directory
// that holds a go.mod.
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
			return "", fmt.Errorf("no go.mod at or above %s; set ARCHY_MACHINE_CACHE", start)
		}
	}
}

// Cached returns the cache's directory of this name, made by build if it is not
// there yet. build fills a directory of another name, which is renamed when it
// is whole, so an interrupted build never counts; processes that want the same
// one build it once, under a lock.
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

// lockFile opens the file, made if need be, and waits for an exclusive lock on
// it. Closing the file gives the lock up; so does the end of the process.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := TryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		// A blocking flock cannot be given up when the context ends.
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", path, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TryLock is lockFile without the wait: unix.EWOULDBLOCK if another holds it.
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

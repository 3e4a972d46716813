package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// imageIndex is podman's list of images, below the graph root. podman writes it anew when
// an image has come (containers/storage, images.go).
const imageIndex = "overlay-images/images.json"

// gatherSyncs is the least time between two syncs: a build writes the index of images again
// and again.
const gatherSyncs = time.Second

// Sync writes to disk what the kernel holds in memory of the file system on which the
// directory root lies (syncfs(2)). podman syncs its indexes, but neither the content of an
// image nor where its layers lie. Until the kernel writes these by itself, which it does
// after half a minute, a power cut leaves an image that is listed and has empty files.
//
// It syncs again while the index of images changes: systemd does not watch that while this
// runs. Its error is that of open(2) or syncfs(2), with the path.
func Sync(ctx context.Context, root string) error {
	dir, err := os.Open(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	return untilStill(ctx, func() string { return stamp(filepath.Join(root, imageIndex)) }, func() error {
		if err := unix.Syncfs(int(dir.Fd())); err != nil {
			return fmt.Errorf("cannot sync the file system of %s: %w", root, err)
		}
		return nil
	})
}

// untilStill syncs, and again until a stamp that was taken before the sync is the same
// gatherSyncs later.
func untilStill(ctx context.Context, stamp func() string, sync func() error) error {
	for {
		before := stamp()
		if err := sync(); err != nil {
			return err
		}
		select {
		case <-time.After(gatherSyncs):
		case <-ctx.Done():
			return nil // what was asked for is done
		}
		if stamp() == before {
			return nil
		}
	}
}

// stamp differs when a file was replaced. It is empty if there is none.
func stamp(path string) string {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return ""
	}
	return fmt.Sprint(s.Dev, s.Ino, s.Size, s.Mtim)
}

package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

const (
	// archiveDir has an archive for each image that is kept, under the image's ID. Only the owner may
	// look there: an image may hold secrets.
	archiveDir    = "images"
	archiveSuffix = ".tar"
	// portion is how much of an archive may wait in memory to be written, in bytes. More would make
	// others wait for the disk at the next sync, and would drive what they read from the page cache.
	portion = 8 << 20
)

// Archives are the images that are kept in a data directory. Each is written to a temporary file,
// checked, synced and renamed, so that the name of an image has a whole archive or none.
type Archives struct {
	dir *directory
	// spare is what is left free on the disk at least, in bytes.
	spare func(unix.Statfs_t) int64
}

// Archives returns the archives of the data directory.
func (d *Dir) Archives() *Archives { return &Archives{dir: &d.directory, spare: spareOf} }

// spareOf leaves the twentieth part of a disk, and a gibibyte.
func spareOf(s unix.Statfs_t) int64 { return max(1<<30, int64(s.Blocks)*int64(s.Bsize)/20) }

// file is the name of an image's archive in the data directory.
func archiveFile(id string) string { return filepath.Join(archiveDir, id+archiveSuffix) }

// checkImageID returns an error for what is no ID of an image: it becomes a file's name.
func checkImageID(id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no ID of an image", id)
	}
	return nil
}

// Kept lists the images that have an archive.
func (a *Archives) Kept() ([]recover.KeptImage, error) {
	entries, err := os.ReadDir(a.dir.file(archiveDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the archives of images cannot be listed: %w", err)
	}
	var kept []recover.KeptImage
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), archiveSuffix)
		if info, err := e.Info(); ok && err == nil && info.Mode().IsRegular() && checkImageID(id) == nil {
			kept = append(kept, recover.KeptImage{ID: id, Size: info.Size(), Kept: info.ModTime()})
		}
	}
	return kept, nil
}

// Free is how much the disk has for archives, in bytes. Some of it is left to others.
func (a *Archives) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(a.dir.path, &s); err != nil {
		return 0, fmt.Errorf("the free space for archives is not known: %w", err)
	}
	return int64(s.Bavail)*int64(s.Bsize) - a.spare(s), nil
}

// Path is where the archive of an image is, empty if there is none.
func (a *Archives) Path(id string) string {
	if checkImageID(id) != nil {
		return ""
	}
	if info, err := os.Lstat(a.dir.file(archiveFile(id))); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return a.dir.file(archiveFile(id))
}

// Open opens the archive of an image.
func (a *Archives) Open(id string) (io.ReadSeekCloser, error) {
	if err := checkImageID(id); err != nil {
		return nil, err
	}
	return os.OpenFile(a.dir.file(archiveFile(id)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// Remove removes the archive of an image.
func (a *Archives) Remove(id string) error {
	if err := checkImageID(id); err != nil {
		return err
	}
	return os.Remove(a.dir.file(archiveFile(id)))
}

// Keep keeps what write writes as the archive of an image, if that has no more than most bytes, and
// check finds the image in what the disk has. ErrNoRoom: it has more, or the disk is about to be
// full. pause is called after each portion, and may take its time.
func (a *Archives) Keep(
	ctx context.Context, id string, most int64, write func(io.Writer) error, check func(io.Reader) error, pause func(),
) (err error) {
	if err := checkImageID(id); err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			err = fmt.Errorf("%w: %w", recover.ErrNoRoom, err)
		}
	}()
	dir, err := a.open()
	if err != nil {
		return err
	}
	defer dir.Close()
	// A crash leaves it to removeTemporaryFiles.
	f, err := os.CreateTemp(dir.Name(), "."+id+archiveSuffix+"*")
	if err != nil {
		return a.dir.cannotWrite(archiveFile(id), err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name()) // the next start tries again
		}
	}()
	w := &portions{ctx: ctx, archives: a, file: f, left: most, pause: pause}
	if err := write(w); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return a.dir.cannotWrite(archiveFile(id), err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := check(&paused{ctx: ctx, file: f, pause: pause}); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), a.dir.file(archiveFile(id))); err != nil {
		return a.dir.cannotWrite(archiveFile(id), err)
	}
	return a.dir.syncDir(dir)
}

// open opens the directory of the archives, and creates a missing one.
func (a *Archives) open() (*os.File, error) {
	err := os.Mkdir(a.dir.file(archiveDir), 0o700)
	if err == nil {
		err = a.dir.sync()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot create the directory of archives: %w", err)
	}
	dir, err := os.OpenFile(a.dir.file(archiveDir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the directory of archives: %w", err)
	}
	return dir, nil
}

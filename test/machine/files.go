package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// /proc gives access to the machine's files, on or off. The machine's root is the
// root of every path, so that its absolute symbolic links do not lead to files of
// the host.

// WriteFile makes or replaces a file on the machine, on or off. The uid, and the
// gid of the same number, own the file and the missing directories, which are
// made. Nothing is synced.
func (m *Machine) WriteFile(path, content string, mode fs.FileMode, uid int) {
	m.t.Helper()
	if err := m.host.writeFile(path, content, mode, uid); err != nil {
		m.t.Fatalf("machine: write %s: %v", path, err)
	}
}

// ReadFile returns the content of a file on the machine, on or off. If the file
// does not exist, the error is an [fs.ErrNotExist].
func (m *Machine) ReadFile(path string) (string, error) {
	f, err := m.host.open(path, unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

// Remove removes a file, or a directory with its content, from the machine, on
// or off. A missing file is no failure.
func (m *Machine) Remove(path string) {
	m.t.Helper()
	if err := m.host.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatalf("machine: remove %s: %v", path, err)
	}
}

// ReadDir returns the entries of a directory on the machine, on or off, sorted by
// name.
func (m *Machine) ReadDir(path string) ([]fs.DirEntry, error) {
	dir, err := m.host.open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return os.ReadDir(fdPath(dir))
}

func (h *host) writeFile(path, content string, mode fs.FileMode, uid int) error {
	if err := h.makeDirs(filepath.Dir(path), uid); err != nil {
		return err
	}
	f, err := h.open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, mode.Perm())
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(content)
	// The umask or an existing file may have changed the mode of open.
	return errors.Join(err, f.Chown(uid, uid), f.Chmod(mode))
}

func (h *host) makeDirs(path string, uid int) error {
	dir, err := h.open(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err == nil {
		return dir.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) || path == "/" {
		return err
	}
	if err := h.makeDirs(filepath.Dir(path), uid); err != nil {
		return err
	}
	parent, err := h.open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer parent.Close()
	made := filepath.Join(fdPath(parent), filepath.Base(path))
	return errors.Join(os.Mkdir(made, 0o755), os.Lchown(made, uid, uid))
}

func (h *host) remove(path string) error {
	parent, err := h.open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer parent.Close()
	return os.RemoveAll(filepath.Join(fdPath(parent), filepath.Base(path)))
}

// open opens the machine's file with this absolute path.
func (h *host) open(path string, flags uint64, mode fs.FileMode) (*os.File, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%s: not an absolute path", path)
	}
	root, err := os.OpenFile(h.diskPath(), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// fdPath returns a path of the open file itself.
func fdPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

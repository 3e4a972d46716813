package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotOurs: the data directory may not be written, and that will not change
// by itself: it is read-only for this process alone (the service's sandbox),
// hidden from it, or belongs to someone else.
var ErrNotOurs = errors.New("may not be written")

// checkAccess returns ErrNotOurs for a directory that this process may not
// write. A disk that is read-only, since the kernel found it damaged, is
// another matter: recovery goes on without writing (see docs/architecture.md).
func checkAccess(path string, err error) error {
	if err == nil {
		err = unix.Access(path, unix.W_OK|unix.X_OK)
	}
	switch {
	case errors.Is(err, fs.ErrPermission),
		errors.Is(err, unix.EROFS) && readOnlyMount(path):
		return fmt.Errorf("the data directory %s %w: %w", path, ErrNotOurs, err)
	case errors.Is(err, unix.EROFS):
		return nil
	}
	return err
}

// whoElseWrites says who else may write to a directory, besides root and this
// process's user: they decide what is started after a crash. Recovery goes on all
// the same: it is the operator's to say who may.
func whoElseWrites(dir *os.File) error {
	var s unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &s); err != nil {
		return err
	}
	switch {
	case s.Mode&unix.S_IWOTH != 0:
		return fmt.Errorf("anyone (mode %#o): chmod o-w it", s.Mode&0o7777)
	case s.Uid != 0 && int(s.Uid) != os.Getuid():
		return errors.New("its owner, another user: chown it")
	}
	return nil
}

// readOnlyMount reports whether the mount that path is on, or would be, is
// read-only while its file system is not.
func readOnlyMount(path string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && readOnlyIn(string(text), path)
}

// readOnlyIn is readOnlyMount for a text of proc_pid_mountinfo(5).
func readOnlyIn(mountinfo, path string) bool {
	longest, found := "", false
	for line := range strings.Lines(mountinfo) {
		mount, filesystem, ok := strings.Cut(line, " - ")
		m, f := strings.Fields(mount), strings.Fields(filesystem)
		if !ok || len(m) < 6 || len(f) < 3 {
			continue
		}
		point := unescape.Replace(m[4])
		// Of two mounts on one point the later one is on top.
		if below(path, point) && len(point) >= len(longest) {
			longest = point
			found = hasOption(m[5], "ro") && !hasOption(f[2], "ro")
		}
	}
	return found
}

func below(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func hasOption(options, option string) bool {
	return strings.Contains(","+options+",", ","+option+",")
}

// unescape undoes what the kernel does to mount points.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

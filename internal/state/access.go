package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// ErrNotOurs says that this process may not write to the data directory, and that this
// will not change by itself. Either the service's sandbox makes the directory read-only or
// hides it, or it belongs to another user.
var ErrNotOurs = errors.New("may not be written")

// checkAccess returns ErrNotOurs for a directory that this process may not write. err is
// that of creating the directory. A disk that is read-only for all, such as one that the kernel
// found damaged, is no error: recovery goes on without writing (see docs/architecture.md).
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

// checkWriters returns an error that names the users who may write to a directory, besides
// root and the user of this process. They can decide what is started after a crash. Recovery
// goes on, since the operator decides who may write.
func checkWriters(dir *os.File) error {
	var s unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &s); err != nil {
		return err
	}
	switch {
	case s.Mode&unix.S_IWOTH != 0:
		return fmt.Errorf("anyone (mode %#o) may write to it; run chmod o-w on it", s.Mode&0o7777)
	case s.Uid != 0 && int(s.Uid) != os.Getuid():
		return errors.New("its owner, another user, may write to it; change its owner with chown")
	}
	return nil
}

// readOnlyMount reports whether the mount of path is read-only while its file system is
// writable. The path need not exist.
func readOnlyMount(path string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && readOnlyIn(string(text), path)
}

// readOnlyIn is readOnlyMount for the content of a mountinfo file (proc_pid_mountinfo(5)).
func readOnlyIn(mountinfo, path string) bool {
	longest, found := "", false
	for line := range strings.Lines(mountinfo) {
		mount, filesystem, ok := strings.Cut(line, " - ")
		m, f := strings.Fields(mount), strings.Fields(filesystem)
		if !ok || len(m) < 6 || len(f) < 3 {
			continue
		}
		point := unescape.Replace(m[4])
		// Of two mounts on one mount point the later one covers the other.
		if recover.Below(path, point) && len(point) >= len(longest) {
			longest = point
			found = hasOption(m[5], "ro") && !hasOption(f[2], "ro")
		}
	}
	return found
}

func hasOption(options, option string) bool {
	return strings.Contains(","+options+",", ","+option+",")
}

// unescape decodes the characters that the kernel escapes in mount points.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// TestDiskFullOrReadOnly does each operation on a disk that is full, has no free inode, or is
// read-only. The operation returns an error that says so, and the old state can be read. When
// the disk works again, the same process can write. The disk is a small tmpfs in a mount
// namespace of a child, which needs no root.
func TestDiskFullOrReadOnly(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestTinyDiskChild$", "-test.v")
	cmd.Env = append(os.Environ(), tinyDiskVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	text, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOSPC) {
		t.Skipf("this kernel allows no user namespaces: %v", err)
	}
	if err != nil || !strings.Contains(string(text), "--- PASS: TestTinyDiskChild/") {
		t.Errorf("%v\n%s", err, text)
	}
}

const tinyDiskVariable = "ARCHY_STATE_TINY_DISK"

// TestTinyDiskChild is the child of TestDiskFullOrReadOnly. It mounts the disk over the directory.
func TestTinyDiskChild(t *testing.T) {
	path := os.Getenv(tinyDiskVariable)
	if path == "" {
		t.Skip("runs only as a child of TestDiskFullOrReadOnly")
	}
	for disk, c := range map[string]struct {
		options string // of the tmpfs, which has room for the state and little more
		damage  func(*testing.T)
		repair  func(*testing.T)
		want    error
	}{
		"full": {"size=64k",
			func(t *testing.T) { fill(t, filepath.Join(path, "ballast")) },
			func(t *testing.T) { os.Remove(filepath.Join(path, "ballast")) },
			unix.ENOSPC},
		"without inodes": {"nr_inodes=20",
			func(t *testing.T) {
				for i := 0; os.WriteFile(filepath.Join(path, fmt.Sprint("ballast", i)), nil, 0o644) == nil; i++ {
				}
			},
			func(t *testing.T) {
				all, _ := filepath.Glob(filepath.Join(path, "ballast*"))
				for _, name := range all {
					os.Remove(name)
				}
			},
			unix.ENOSPC},
		"read-only": {"",
			func(t *testing.T) { mount(t, path, unix.MS_REMOUNT|unix.MS_RDONLY, "") },
			func(t *testing.T) { mount(t, path, unix.MS_REMOUNT, "") },
			unix.EROFS},
	} {
		for name, op := range operations {
			t.Run(disk+"/"+name, func(t *testing.T) {
				mount(t, path, 0, c.options)
				defer unix.Unmount(path, unix.MNT_DETACH)
				oldState := op.read(t, prepare(t, path))
				d, reported := open(t, path)
				c.damage(t)
				err := op.do(d)
				if err == nil && c.want == unix.ENOSPC && op.removes {
					return // a removal needs no room
				}
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("the operation returns %v, want %v and the file's name", err, c.want)
				}
				if noRoom := errors.Is(err, recover.ErrNoRoom); noRoom != (name == "KeepArchive" && c.want == unix.ENOSPC) {
					t.Errorf("that it is for want of room: %v: %v", noRoom, err)
				}
				if got := op.readIn(d); got != oldState {
					t.Errorf("the state reads as %s, want the old one, %s", got, oldState)
				}
				if len(*reported) > 1 {
					t.Errorf("reported %q", *reported)
				}
				c.repair(t)
				checkNoTemporaryFile(t, path)
				if err := op.do(d); err != nil {
					t.Errorf("after the repair: %v", err)
				}
				if got := op.readIn(d); got == oldState {
					t.Error("the operation changes nothing after the repair")
				}
			})
		}
	}
}

// checkNoTemporaryFile fails if there is a temporary file.
func checkNoTemporaryFile(t *testing.T, dir string) {
	t.Helper()
	for name := range contents(t, dir) {
		if base := filepath.Base(name); strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") {
			t.Errorf("left behind: %s", name)
		}
	}
}

// mount mounts a tmpfs.
func mount(t *testing.T, path string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", path, "tmpfs", flags, strings.Trim("mode=755,"+options, ",")); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
}

// fill writes a file until the disk is full to the last byte.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 4096; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

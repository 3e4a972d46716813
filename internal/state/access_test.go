package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

func TestReadOnlyIn(t *testing.T) {
	sandbox := "21 1 0:20 / / ro,relatime shared:1 - ext4 /dev/sda rw,errors=remount-ro\n" +
		"22 21 0:20 /var/lib/a /var/lib/a rw,relatime - ext4 /dev/sda rw\n" +
		"23 21 0:30 / /mnt/my\\040disk ro - ext4 /dev/sdb ro\n" +
		"24 21 0:40 / /home ro,nosuid - tmpfs tmpfs rw,size=4k\n"
	for name, c := range map[string]struct {
		mountinfo, path string
		want            bool
	}{
		"read-only by the sandbox":             {sandbox, "/var/lib/archipelago", true},
		"missing directory":                    {sandbox, "/srv/not/there", true},
		"hidden by the sandbox":                {sandbox, "/home/archy/data", true},
		"writable in the sandbox":              {sandbox, "/var/lib/a/1000", false},
		"name that begins like a writable one": {sandbox, "/var/lib/ab", true},
		"read-only disk":                       {sandbox, "/mnt/my disk/data", false},
		"writable mount over another": {
			sandbox + "25 24 0:41 / /home rw - tmpfs tmpfs rw\n", "/home/x", false,
		},
		"mountinfo empty": {"", "/srv", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := readOnlyIn(c.mountinfo, c.path); got != c.want {
				t.Errorf("readOnlyIn(%q) = %v", c.path, got)
			}
		})
	}
}

// TestDirectoryAccess opens directories that are missing, a link, or writable by others. All of
// them work. The operator is told who else may write.
func TestDirectoryAccess(t *testing.T) {
	for name, c := range map[string]struct {
		create   func(path string) error
		reported string
	}{
		"missing with its parent": {func(string) error { return nil }, ""},
		"symbolic link": {func(path string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(t.TempDir(), path))
		}, ""},
		"own": {func(path string) error { return os.MkdirAll(path, 0o775) }, ""},
		"world-writable": {func(path string) error {
			return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o777))
		}, "anyone (mode 0777)"},
		"of another user": {func(path string) error {
			if os.Getuid() != 0 {
				t.Skip("only root can change the owner")
			}
			return errors.Join(os.MkdirAll(path, 0o755), os.Chown(path, 4242, 4242))
		}, "its owner, another user"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lib", "archy-recovery")
			if err := c.create(path); err != nil {
				t.Fatal(err)
			}
			d, reported := open(t, path)
			if err := d.SaveSnapshot(recover.Snapshot{Timestamp: 1}); err != nil {
				t.Error(err)
			}
			if text := strings.Join(*reported, "\n"); (text == "") != (c.reported == "") || !strings.Contains(text, c.reported) {
				t.Errorf("reported %q, want %q", text, c.reported)
			}
		})
	}
}

func TestDirectoryNotWritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere; test/recovery tests this for the service")
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{closed, filepath.Join(closed, "new")} {
		if _, err := Open(path, func(string, string, error) {}); !errors.Is(err, ErrNotOurs) {
			t.Errorf("Open(%s): %v", path, err)
		}
	}
}

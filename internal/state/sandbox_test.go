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
	for sentence, c := range map[string]struct {
		mountinfo, path string
		want            bool
	}{
		"what the sandbox makes read-only":            {sandbox, "/var/lib/archipelago", true},
		"what is not there yet":                       {sandbox, "/srv/not/there", true},
		"what it hides":                               {sandbox, "/home/archy/data", true},
		"what it leaves writable":                     {sandbox, "/var/lib/a/1000", false},
		"a name that begins like a writable one":      {sandbox, "/var/lib/ab", true},
		"a disk that is read-only itself":             {sandbox, "/mnt/my disk/data", false},
		"the upper one of two mounts, here writable":  {sandbox + "25 24 0:41 / /home rw - tmpfs tmpfs rw\n", "/home/x", false},
		"a mount that nobody can read anything about": {"", "/srv", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := readOnlyIn(c.mountinfo, c.path); got != c.want {
				t.Errorf("readOnlyIn(%q) = %v", c.path, got)
			}
		})
	}
}

// A data directory where others may write, one that is a link, and one that is
// not there: recovery works in all, and of the first the operator is told.
func TestADirectoryAsOthersLeftIt(t *testing.T) {
	for sentence, c := range map[string]struct {
		lay  func(path string) error
		told string
	}{
		"missing, as is what it lies in": {func(string) error { return nil }, ""},
		"a link": {func(path string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(t.TempDir(), path))
		}, ""},
		"ours":           {func(path string) error { return os.MkdirAll(path, 0o775) }, ""},
		"world-writable": {func(path string) error { return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o777)) }, "anyone (mode 0777)"},
		"somebody else's": {func(path string) error {
			if os.Getuid() != 0 {
				t.Skip("only root can give it away")
			}
			return errors.Join(os.MkdirAll(path, 0o755), os.Chown(path, 4242, 4242))
		}, "its owner, another user"},
	} {
		t.Run(sentence, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lib", "archy-recovery")
			if err := c.lay(path); err != nil {
				t.Fatal(err)
			}
			d, told := open(t, path)
			if err := d.SaveSnapshot(recover.Snapshot{Timestamp: 1}); err != nil {
				t.Error(err)
			}
			if said := strings.Join(*told, "\n"); (said == "") != (c.told == "") || !strings.Contains(said, c.told) {
				t.Errorf("reported %q, want %q", said, c.told)
			}
		})
	}
}

func TestADirectoryThatIsNotOurs(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere; test/recovery has the rest")
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

package machine

import (
	"os"
	"path/filepath"
	"testing"
)

// The cache's path has no symbolic link: an absolute one leads out of a supervisor's
// mounts, and what a test wrote to a machine that is off would be lost.
func TestCacheDirWithoutLinks(t *testing.T) {
	real, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ARCHY_MACHINE_CACHE", filepath.Join(link, "machine"))
	if dir, err := CacheDir(); dir != filepath.Join(real, "machine") || err != nil {
		t.Errorf("the cache is %s (%v), want %s", dir, err, filepath.Join(real, "machine"))
	}
}

package state

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDaemonLockPrivate checks that only the owner can hold the directory, although every user may
// read the lists. Otherwise any user could keep the daemon from starting.
func TestDaemonLockPrivate(t *testing.T) {
	path := t.TempDir()
	first, _ := open(t, path)
	first.Close()
	for name := range contents(t, path) {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	directory, err := os.Open(path) // every user may open it
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if err := unix.Flock(int(directory.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if second, _ := open(t, path); second.otherHolds {
		t.Error("a user who may read the directory keeps the daemon from starting")
	}
}

func TestTemporaryFilesRemoved(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{
		"." + snapshotFile + "123", "." + markerFile + "9", "." + userStoppedFile + ".previous77",
		historyDir + "/.7.json123", historyDir + "/7.json~",
	} {
		write(t, path, name, "")
	}
	d, _ := open(t, path)
	put(t, d, "mine.txt", "other")
	if left := contents(t, path); len(left) != 2 { // mine.txt and the daemon's lock
		t.Errorf("left: %v", left)
	}
}

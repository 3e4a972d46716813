package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestReaderChangesNothing reads while a daemon holds the directory. The reader keeps no
// generation, sets no damaged file aside, and removes no temporary file.
func TestReaderChangesNothing(t *testing.T) {
	path := t.TempDir()
	d, _ := open(t, path)
	put(t, d, snapshotFile, `{"timestamp":1,"containers":[{"name":"db"}]}`) // no generation of it is kept
	put(t, d, userStoppedFile, `["a`)
	put(t, d, previous(userStoppedFile), `["a"]`)
	put(t, d, quarantineFile, `{`)
	put(t, d, "."+snapshotFile+"123", "half")
	if _, err := d.SaveReport(recover.Report{BootID: "b"}); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)

	damages := 0
	r, err := Read(path, func(string, string, error) { damages++ })
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Snapshot(); err != nil || len(s.Containers) != 1 {
		t.Errorf("snapshot %+v, %v", s, err)
	}
	if names, err := r.UserStopped(); err != nil || len(names) != 1 {
		t.Errorf("user-stopped %q, %v", names, err)
	}
	if _, err := r.Quarantine(); err == nil {
		t.Error("a lost quarantine is no error")
	}
	if reports, err := r.Reports(); err != nil || len(reports) != 1 {
		t.Errorf("reports %+v, %v", reports, err)
	}
	if r.Running() {
		t.Error("Running is true without a marker")
	}
	put(t, d, markerFile, "1\n")
	if !r.Running() {
		t.Error("Running is false with a marker")
	}
	os.Remove(d.file(markerFile))
	if damages != 2 {
		t.Errorf("damage was reported %d times, want 2", damages)
	}
	if diff := cmp.Diff(before, contents(t, path)); diff != "" {
		t.Errorf("files were changed:\n%s", diff)
	}
	other, err := Open(path, func(string, string, error) {})
	if err != nil || !other.otherHolds {
		t.Errorf("the daemon does not hold the directory any more: %v", err)
	}
	other.Close()
}

func TestReaderMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	r, err := Read(path, func(text, file string, err error) { t.Error(text, file, err) })
	if err != nil {
		t.Fatal(err)
	}
	if reports, err := r.Reports(); err != nil || len(reports) > 0 {
		t.Errorf("reports %v, %v", reports, err)
	}
	if _, err := r.Snapshot(); err == nil {
		t.Error("there is a snapshot")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the directory was created")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file, nil); err == nil {
		t.Error("Read accepts a file as the data directory")
	}
}

// A user who may not read the reports gets one error, and not damage for each of them.
func TestReaderDenied(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	path := t.TempDir()
	d, _ := open(t, path)
	for range 2 {
		if _, err := d.SaveReport(recover.Report{BootID: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Read(path, func(text, file string, err error) { t.Error(text, file, err) })
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // setfsuid(2) is of one thread
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(65533); err != nil {
		t.Fatal(err)
	}
	reports, err := r.Reports()
	if back := unix.Setfsuid(0); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, fs.ErrPermission) || len(reports) > 0 {
		t.Errorf("reports %v, %v", reports, err)
	}
}

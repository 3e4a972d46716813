package units

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A target refers to the units until release, and to no name that is not a unit's.
func TestKeepLoaded(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("db.service", "inactive", "", nil)
	sent := func() { // returns after what was sent before
		t.Helper()
		if _, err := m.States(soon(t), []string{"db.service"}); err != nil {
			t.Fatal(err)
		}
	}
	started := make(chan string, 1)
	f.starts(func(c *startCall) {
		text, err := os.ReadFile(filepath.Join(m.runtimeDir, planTarget))
		if err != nil || !strings.Contains(string(text), "\nAfter=db.service web.service\n") {
			t.Errorf("at its start the target is %q, %v", text, err)
		}
		started <- c.unit
	})
	release := m.KeepLoaded(soon(t), []string{"db.service", "../odd", "", "web.service"})
	if unit := await(t, started, "the start"); unit != planTarget {
		t.Errorf("%s was started", unit)
	}
	release()
	sent()
	if n := f.count("StopUnit"); n != 1 {
		t.Errorf("%d stops", n)
	}
	if _, err := os.Lstat(filepath.Join(m.runtimeDir, planTarget)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the target's file after the release: %v", err)
	}
}

// Without units, a directory or a bus nothing is kept, and nothing fails.
func TestKeepLoadedInVain(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	m.KeepLoaded(soon(t), nil)()
	if n := f.count("StartUnit"); n > 0 {
		t.Errorf("%d starts without units", n)
	}
	directory := t.TempDir()
	m = New("unix:path=/nonexistent", directory, "")
	m.KeepLoaded(soon(t), []string{"db.service"})()
	if left, _ := os.ReadDir(directory); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	m = New("unix:path=/nonexistent", filepath.Join(os.DevNull, "units"), "")
	m.KeepLoaded(soon(t), []string{"db.service"})()
}

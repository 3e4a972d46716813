package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// damaged is the content of damaged lists.
var damaged = map[string]string{
	"empty":         "",
	"cut short":     `{"timestamp": 1, "containers": [{"name": "a"`,
	"zeroes":        "\x00\x00\x00\x00\x00\x00\x00\x00",
	"another shape": `7`,
	"null":          `null`,
	"no list":       `{"timestamp": 1}`,
}

func TestDamagedList(t *testing.T) {
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			d, reported := open(t, t.TempDir())
			good := recover.Snapshot{Timestamp: 1, Containers: []recover.Container{{Name: "a"}}}
			if err := errors.Join(d.SaveSnapshot(good), stop(d, "x")); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Snapshot(); err != nil { // this keeps a generation
				t.Fatal(err)
			}
			if _, err := d.UserStopped(); err != nil {
				t.Fatal(err)
			}
			put(t, d, snapshotFile, content)
			put(t, d, userStoppedFile, content)
			for range 2 { // the second read gives the same
				s, err := d.Snapshot()
				if err != nil || !s.SameSet(good) {
					t.Errorf("snapshot is %+v, %v", s, err)
				}
				stopped, err := d.UserStopped()
				if err != nil || !slices.Equal(stopped, []string{"x"}) {
					t.Errorf("user-stopped is %q, %v", stopped, err)
				}
			}
			if len(*reported) != 2 {
				t.Errorf("reported %q, want one report a file", *reported)
			}
			for _, file := range []string{snapshotFile, userStoppedFile} {
				aside, _ := filepath.Glob(d.file(file + ".corrupt-*"))
				if len(aside) != 1 {
					t.Fatalf("%s: the copies are %q, want one", file, aside)
				}
				if kept, _ := os.ReadFile(aside[0]); string(kept) != content {
					t.Errorf("%s holds %q", aside[0], kept)
				}
			}
		})
	}
}

func TestDamagedListWithoutGeneration(t *testing.T) {
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			d, _ := open(t, t.TempDir())
			put(t, d, snapshotFile, content)
			put(t, d, userStoppedFile, content)
			for range 2 { // the second read gives the same
				if _, err := d.Snapshot(); !errors.Is(err, recover.ErrLost) {
					t.Errorf("Snapshot returns %v, want ErrLost", err)
				}
				if names, err := d.UserStopped(); !errors.Is(err, recover.ErrLost) {
					t.Errorf("UserStopped returns %q, %v, want ErrLost: it must not read as an empty list", names, err)
				}
			}
		})
	}
}

func TestMissingList(t *testing.T) {
	d, reported := open(t, t.TempDir())
	if names, err := d.UserStopped(); err != nil || len(names) > 0 {
		t.Errorf("no list yet: %q, %v", names, err)
	}
	if _, err := d.Snapshot(); !errors.Is(err, recover.ErrNone) {
		t.Errorf("no snapshot yet: %v", err)
	}
	put(t, d, userStoppedFile, `["x"]`)
	if _, err := d.UserStopped(); err != nil {
		t.Fatal(err)
	}
	os.Remove(d.file(userStoppedFile))
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("removed list: %q, %v", names, err)
	}
	if len(*reported) != 1 || !strings.Contains((*reported)[0], "last good generation") {
		t.Errorf("reported %q", *reported)
	}
}

// TestGenerationKeptOnRead checks that a list of another program becomes the last good generation
// when it is read.
func TestGenerationKeptOnRead(t *testing.T) {
	d, _ := open(t, t.TempDir())
	for _, list := range []string{`["x"]`, `["x","y"]`} {
		put(t, d, userStoppedFile, list)
		if _, err := d.UserStopped(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d, userStoppedFile, "") // its writer was interrupted
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x", "y"}) {
		t.Errorf("user-stopped is %q, %v", names, err)
	}
}

func TestWriteFails(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if err := stop(d, "x"); err != nil {
		t.Fatal(err)
	}
	// No temporary file can be created, as on a full or read-only disk.
	broken := &Dir{
		directory: directory{path: filepath.Join(d.path, "gone"), fd: d.fd}, report: d.report, reported: map[string]string{},
	}
	if err := stop(broken); err == nil {
		t.Error("a write to a missing directory succeeds")
	}
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("user-stopped is %q, %v", names, err)
	}
}

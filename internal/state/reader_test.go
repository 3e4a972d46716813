package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// filesBelow is each file below a directory.
func filesBelow(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		all[p] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A reader reads beside the daemon, and changes nothing: neither by keeping a
// good generation, nor by setting a damaged file aside, nor by sweeping.
func TestReaderChangesNothing(t *testing.T) {
	path := t.TempDir()
	d, _ := open(t, path)
	put(t, d, snapshotFile, `{"timestamp":1,"containers":[{"name":"db"}]}`) // by another: no generation of it is kept
	put(t, d, userStoppedFile, `["a`)
	put(t, d, previous(userStoppedFile), `["a"]`)
	put(t, d, quarantineFile, `{`)
	put(t, d, "."+snapshotFile+"123", "half")
	if _, err := d.SaveReport(recover.Report{BootID: "b"}); err != nil {
		t.Fatal(err)
	}
	before := filesBelow(t, path)

	told := 0
	r, err := Read(path, func(string, string, error) { told++ })
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
		t.Error("a lost list of suspects is no error")
	}
	if reports, err := r.Reports(); err != nil || len(reports) != 1 {
		t.Errorf("reports %+v, %v", reports, err)
	}
	if r.Running() {
		t.Error("there is no marker")
	}
	put(t, d, markerFile, "1\n")
	if !r.Running() {
		t.Error("there is a marker")
	}
	os.Remove(d.file(markerFile))
	if told != 2 {
		t.Errorf("damage was reported %d times", told)
	}
	if diff := cmp.Diff(before, filesBelow(t, path)); diff != "" {
		t.Errorf("files were changed:\n%s", diff)
	}
	other, err := Open(path, func(string, string, error) {})
	if err != nil || !other.held {
		t.Errorf("the daemon's hold is gone: %v", err)
	}
	other.Close()
}

func TestReaderOfNothing(t *testing.T) {
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
		t.Error("the directory was made")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file, nil); err == nil {
		t.Error("a file is no directory")
	}
}

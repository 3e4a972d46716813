package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// The directory may belong to a user who may read and write less than we do.
// With links in place of its files, in whatever way they are named, nothing of
// elsewhere is read, copied, changed or waited for.
func TestLinksLeadNowhere(t *testing.T) {
	const secret = `["the secret"]`
	for kind, put := range map[string]func(target, path string) error{
		"a symbolic link": os.Symlink,
		"a link to a directory": func(target, path string) error {
			return os.Symlink(filepath.Dir(target), path)
		},
		"a pipe": func(_, path string) error { return unix.Mkfifo(path, 0o666) },
	} {
		for name, op := range operations {
			t.Run(kind+"/"+name, func(t *testing.T) {
				elsewhere := t.TempDir()
				target := filepath.Join(elsewhere, "secret")
				if err := os.WriteFile(target, []byte(secret), 0o600); err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				for _, file := range []string{markerFile, snapshotFile, userStoppedFile, inFlightFile, quarantineFile, lockFile,
					previous(snapshotFile), previous(userStoppedFile), previous(quarantineFile), reportFile(1), reportFile(2)} {
					path := filepath.Join(dir, file)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := put(target, path); err != nil {
						t.Fatal(err)
					}
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					d, told := open(t, dir)
					said := op.readIn(d)
					_ = op.do(d) // it may go well: the link is replaced
					said += op.readIn(d) + strings.Join(*told, "\n")
					if strings.Contains(said, "the secret") {
						t.Errorf("it was read: %s", said)
					}
				}()
				select {
				case <-done:
				case <-time.After(10 * time.Second):
					t.Fatal("it hangs")
				}
				if text, err := os.ReadFile(target); err != nil || string(text) != secret {
					t.Errorf("elsewhere is now %q, %v", text, err)
				}
				if entries, _ := os.ReadDir(elsewhere); len(entries) != 1 {
					t.Errorf("elsewhere are now %d files", len(entries))
				}
				for _, e := range regular(t, dir) {
					if text, _ := os.ReadFile(e); strings.Contains(string(text), "secret") {
						t.Errorf("copied to %s", e)
					}
				}
			})
		}
	}
}

// regular are the regular files in dir, by path, without following links.
func regular(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A history that is a link to a directory gets no reports.
func TestAHistoryThatLeadsElsewhere(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, historyDir)); err != nil {
		t.Fatal(err)
	}
	d, _ := open(t, dir)
	if _, err := d.SaveReport(recover.Report{BootID: "b"}); err == nil {
		t.Error("a report was saved")
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) > 0 {
		t.Errorf("elsewhere are now %d files", len(entries))
	}
}

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

// TestLinksAndPipes puts links and pipes in place of the files. The directory may belong to a
// user who may read and write less than the daemon. No file outside of it may be read, copied
// or changed, and no operation may hang.
func TestLinksAndPipes(t *testing.T) {
	const secret = `["the secret"]`
	for kind, put := range map[string]func(target, path string) error{
		"symbolic link": os.Symlink,
		"link to a directory": func(target, path string) error {
			return os.Symlink(filepath.Dir(target), path)
		},
		"pipe": func(_, path string) error { return unix.Mkfifo(path, 0o666) },
	} {
		for name, op := range operations {
			t.Run(kind+"/"+name, func(t *testing.T) {
				outside := t.TempDir()
				target := filepath.Join(outside, "secret")
				if err := os.WriteFile(target, []byte(secret), 0o600); err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				for _, file := range []string{
					markerFile, snapshotFile, userStoppedFile, inFlightFile, quarantineFile, lockFile,
					previous(snapshotFile), previous(userStoppedFile), previous(quarantineFile),
					reportFile(1), reportFile(2),
				} {
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
					d, reported := open(t, dir)
					output := op.readIn(d)
					_ = op.do(d) // it may succeed: the link is then replaced
					output += op.readIn(d) + strings.Join(*reported, "\n")
					if strings.Contains(output, "the secret") {
						t.Errorf("the secret was read: %s", output)
					}
				}()
				select {
				case <-done:
				case <-time.After(10 * time.Second):
					t.Fatal("the operation hangs")
				}
				if text, err := os.ReadFile(target); err != nil || string(text) != secret {
					t.Errorf("the file outside is now %q, %v", text, err)
				}
				if entries, _ := os.ReadDir(outside); len(entries) != 1 {
					t.Errorf("the directory outside has %d files, want 1", len(entries))
				}
				for _, e := range regular(t, dir) {
					if text, _ := os.ReadFile(e); strings.Contains(string(text), "secret") {
						t.Errorf("the secret was copied to %s", e)
					}
				}
			})
		}
	}
}

// regular lists the paths of the regular files in dir. It follows no link.
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

// TestHistorySymlink checks that no report is saved where the history is a link to a directory.
func TestHistorySymlink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, historyDir)); err != nil {
		t.Fatal(err)
	}
	d, _ := open(t, dir)
	if _, err := d.SaveReport(recover.Report{BootID: "b"}); err == nil {
		t.Error("a report was saved")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("the directory outside has %d files", len(entries))
	}
}

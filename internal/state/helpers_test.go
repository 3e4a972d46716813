package state

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// open opens a data directory, and collects its reports of damage.
func open(t *testing.T, path string) (*Dir, *[]string) {
	t.Helper()
	var reported []string
	d, err := Open(path, func(text, file string, err error) {
		reported = append(reported, fmt.Sprintf("%s: %s: %v", filepath.Base(file), text, err))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, &reported
}

// put writes a file of the data directory as another program does.
func put(t *testing.T, d *Dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(d.file(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// stop replaces the user-stopped list.
func stop(d *Dir, names ...string) error {
	_, err := d.EditUserStopped(func([]string) []string { return names })
	return err
}

package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// A hold is read as it was written; a damaged one is told, and is none.
func TestHold(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path, func(string, string, error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Hold(); !errors.Is(err, recover.ErrNone) {
		t.Errorf("at first: %v", err)
	}
	want := recover.Hold{BootID: "b", Until: time.Now().UTC().Truncate(time.Second)}
	if err := d.SaveHold(want); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Hold(); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if err := os.WriteFile(filepath.Join(path, holdFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Hold(); !errors.Is(err, recover.ErrLost) {
		t.Errorf("damaged: %v", err)
	}
}

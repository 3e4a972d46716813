package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// An image that comes during a sync is synced, too, and syncs are a second apart.
func TestSyncsUntilStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		images, syncs := 1, 0
		began := time.Now()
		err := untilStill(t.Context(), func() string { return strconv.Itoa(images) }, func() error {
			syncs++
			if syncs < 3 {
				images++ // another image comes
			}
			return nil
		})
		if err != nil || syncs != 3 {
			t.Errorf("%d syncs, want 3; error %v", syncs, err)
		}
		if took := time.Since(began); took != 3*gatherSyncs {
			t.Errorf("it took %s", took)
		}
	})
}

func TestSyncEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed := errors.New("no disk")
	if err := untilStill(ctx, func() string { return "" }, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a failed sync is told as %v", err)
	}
	if err := untilStill(ctx, func() string { return "" }, func() error { return nil }); err != nil {
		t.Errorf("a stop after a sync: %v", err)
	}
	if err := Sync(ctx, t.TempDir()); err != nil {
		t.Errorf("a directory without images: %v", err)
	}
	if err := Sync(ctx, filepath.Join(t.TempDir(), "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// podman replaces the index: each version has another stamp, also with the same content.
func TestStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "images.json")
	seen := map[string]bool{stamp(path): true}
	for range 3 {
		fresh := path + ".new"
		if err := os.WriteFile(fresh, []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, path); err != nil {
			t.Fatal(err)
		}
		if seen[stamp(path)] {
			t.Errorf("the stamp %q was there before", stamp(path))
		}
		seen[stamp(path)] = true
	}
}

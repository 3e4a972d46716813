package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// archived is the ID of an image.
var archived = strings.Repeat("0a", 32)

// archivesOf are archives that leave nothing of the disk to others.
func archivesOf(d *Dir) *Archives {
	a := d.Archives()
	a.spare = func(unix.Statfs_t) int64 { return -1 << 40 }
	return a
}

// keep keeps a text for an archive. It is read back to be checked.
func keep(a *Archives, id, text string) error {
	return a.Keep(context.Background(), id, 1<<30, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}, func(r io.Reader) error {
		got, err := io.ReadAll(r)
		if err == nil && string(got) != text {
			err = fmt.Errorf("%d bytes are read back, and %d were written", len(got), len(text))
		}
		return err
	}, func() {})
}

// An archive can be read by its owner alone, since an image may hold secrets.
func TestArchives(t *testing.T) {
	t.Parallel()
	d, _ := open(t, t.TempDir())
	a := archivesOf(d)
	if kept, err := a.Kept(); err != nil || len(kept) > 0 || a.Path(archived) != "" {
		t.Errorf("kept %v, %v", kept, err)
	}
	if err := keep(a, archived, "text"); err != nil {
		t.Fatal(err)
	}
	put(t, d, "images/README.tar", "no archive")
	if err := os.Symlink("/etc/passwd", d.file("images/"+strings.Repeat("0b", 32)+".tar")); err != nil {
		t.Fatal(err)
	}
	kept, err := a.Kept()
	if err != nil || len(kept) != 1 || kept[0].ID != archived || kept[0].Size != 4 || kept[0].Kept.IsZero() {
		t.Errorf("kept %+v, %v", kept, err)
	}
	for path, want := range map[string]os.FileMode{d.file("images"): 0o700, a.Path(archived): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, %v", path, info.Mode(), err)
		}
	}
	f, err := a.Open(archived)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if err := a.Remove(archived); err != nil || a.Path(archived) != "" {
		t.Error(err)
	}
	for _, id := range []string{"", "../x", strings.Repeat("0A", 32), archived + "0"} {
		_, openErr := a.Open(id)
		if openErr == nil || a.Remove(id) == nil || keep(a, id, "") == nil || a.Path(id) != "" {
			t.Errorf("%q is taken for an ID", id)
		}
	}
}

// What cannot be made whole leaves nothing, nor does it cost the archive that is there.
func TestArchiveIsNotKept(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	content := strings.Repeat("x", 3*portion)
	write := func(w io.Writer) error { _, err := io.Copy(w, strings.NewReader(content)); return err }
	well := func(io.Reader) error { return nil }
	for name, test := range map[string]struct {
		ctx   context.Context
		most  int64
		write func(io.Writer) error
		check func(io.Reader) error
		want  error
	}{
		"podman fails":     {t.Context(), 1 << 30, func(w io.Writer) error { _ = write(w); return broken }, well, broken},
		"it is not whole":  {t.Context(), 1 << 30, write, func(io.Reader) error { return broken }, broken},
		"it is too large":  {t.Context(), 3*portion - 1, write, well, recover.ErrNoRoom},
		"the daemon stops": {cancelled, 1 << 30, write, well, context.Canceled},
		"it stops during the check": {cancelled, 1 << 30,
			func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err },
			func(r io.Reader) error { return cancelled.Err() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, _ := open(t, dir)
			a := archivesOf(d)
			if err := keep(a, archived, "before"); err != nil {
				t.Fatal(err)
			}
			if err := a.Keep(test.ctx, archived, test.most, test.write, test.check, func() {}); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			checkNoTemporaryFile(t, dir)
			if text, err := os.ReadFile(a.Path(archived)); err != nil || string(text) != "before" {
				t.Errorf("it is %d bytes now, %v", len(text), err)
			}
		})
	}
}

// The writer and the check pause after each portion, and the check sees what was written.
func TestArchivePauses(t *testing.T) {
	t.Parallel()
	d, _ := open(t, t.TempDir())
	pauses := 0
	var read int64
	err := archivesOf(d).Keep(t.Context(), archived, 1<<30, func(w io.Writer) error {
		_, err := io.CopyN(w, neverEnds{}, 4*portion)
		return err
	}, func(r io.Reader) (err error) {
		read, err = io.Copy(io.Discard, r)
		return err
	}, func() { pauses++ })
	if err != nil || read != 4*portion || pauses < 7 || pauses > 8 {
		t.Errorf("%d bytes, %d pauses, %v", read, pauses, err)
	}
}

type neverEnds struct{}

func (neverEnds) Read(b []byte) (int, error) { return len(b), nil }

// A disk is not filled: some of it is left to others.
func TestArchiveLeavesSpace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, _ := open(t, dir)
	a := d.Archives()
	a.spare = func(s unix.Statfs_t) int64 { return int64(s.Bavail) * int64(s.Bsize) }
	if err := keep(a, archived, "text"); !errors.Is(err, recover.ErrNoRoom) {
		t.Error(err)
	}
	checkNoTemporaryFile(t, dir)
	if free, err := a.Free(); err != nil || free > 1<<30 {
		t.Errorf("%d, %v", free, err)
	}
	for _, blocks := range []uint64{0, 1 << 20, 1 << 30} {
		want := max(1<<30, int64(blocks)*4096/20)
		if got := spareOf(unix.Statfs_t{Blocks: blocks, Bsize: 4096}); got != want {
			t.Errorf("of %d blocks %d bytes are left, want %d", blocks, got, want)
		}
	}
}

// What a power cut left half written is removed at the next start, and nothing else.
func TestHalfArchiveIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, _ := open(t, dir)
	if err := keep(archivesOf(d), archived, "text"); err != nil {
		t.Fatal(err)
	}
	put(t, d, filepath.Join(archiveDir, "."+archived+".tar123"), "te")
	d.Close()
	d, _ = open(t, dir)
	checkNoTemporaryFile(t, dir)
	kept, err := archivesOf(d).Kept()
	if err != nil || !slices.ContainsFunc(kept, func(k recover.KeptImage) bool { return k.ID == archived }) {
		t.Errorf("%v, %v", kept, err)
	}
}

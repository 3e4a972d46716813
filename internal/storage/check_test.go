package storage

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/answerfile"
	"archy-recovery/internal/recover"
)

// check is a check of a store, which must not fail.
func check(t *testing.T, s *store) recover.StorageCheck {
	t.Helper()
	answer, err := Check(t.Context(), s.root)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// said is what a check found, in short: the damage, the images and the containers that it hits.
func said(c recover.StorageCheck) (lines []string) {
	for _, d := range c.Damages {
		line := strings.NewReplacer(id("a"), "A", id("b"), "B", id("c"), "C", id("d"), "D", id("1"), "1").Replace(
			d.Path + " " + d.What)
		for _, i := range d.Images {
			line += " | " + strings.Join(i.Names, " ")
		}
		for _, s := range d.Containers {
			own := ""
			if d.Own != nil && d.Own.ID == s.ID {
				own = " own"
			}
			line += " | " + strings.Join(s.Names, " ") + own
		}
		lines = append(lines, line)
	}
	return lines
}

const all = " | localhost/web:latest | db | app"

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(*store)
		want   string
	}{
		"whole": {func(*store) {}, ""},
		"empty link": {func(s *store) { s.write("overlay/"+id("a")+"/link", "") },
			"overlay/A/link is empty" + all},
		"no link": {func(s *store) { s.remove("overlay/" + id("b") + "/link") }, "overlay/B/link is missing" + all},
		"podman makes the links in overlay/l anew": {func(s *store) { s.remove("overlay/l"); s.mkdir("overlay/l") }, ""},
		"empty lower": {func(s *store) { s.write("overlay/"+id("b")+"/lower", "") }, "overlay/B/lower is empty" + all},
		"garbage in lower": {func(s *store) { s.write("overlay/"+id("b")+"/lower", "\x00\x00\x00") },
			"overlay/B/lower lists a layer that is not there" + all},
		"lower of a container": {func(s *store) { s.write("overlay/"+id("c")+"/lower", "") },
			"overlay/C/lower is empty | db own"},
		"lower of a --rm container": {func(s *store) { s.write("overlay/"+id("d")+"/lower", "") },
			"overlay/D/lower is empty | app own"},
		"no layer": {func(s *store) { s.remove("overlay/" + id("a")) }, "overlay/A is missing" + all},
		"no diff":  {func(s *store) { s.remove("overlay/" + id("a") + "/diff") }, "overlay/A/diff is missing" + all},
		"empty": {func(s *store) { s.write("overlay/"+id("b")+"/diff/srv/index", "") },
			`overlay/B/diff has 1 files that are empty, cut short or missing, such as "srv/index"` + all},
		"cut short": {func(s *store) { s.write("overlay/"+id("b")+"/diff/srv/index", "hell") }, "overlay/B/diff has 1 files"},
		"lost directory": {func(s *store) { s.remove("overlay/" + id("a") + "/diff/etc") },
			`overlay/A/diff has 1 files that are empty, cut short or missing, such as "etc/passwd"` + all},
		"all empty": {func(s *store) {
			s.write("overlay/"+id("a")+"/diff/etc/passwd", "")
			s.write("overlay/"+id("a")+"/diff/bin/sh", "")
		}, `overlay/A/diff has 2 files that are empty, cut short or missing, such as "bin/sh"` + all},
		"a container may empty its files": {func(s *store) { s.write("overlay/"+id("c")+"/diff/srv/index", "") }, ""},
		"layers lost": {func(s *store) { s.layers = s.layers[1:]; s.save() },
			"overlay-layers/layers.json has no layer aaaaaaaaaaaa"},
		"empty layers.json": {func(s *store) { s.write("overlay-layers/layers.json", "") },
			"overlay-layers/layers.json has no layer bbbbbbbbbbbb"},
		"layers.json cut short": {func(s *store) { s.write("overlay-layers/layers.json", `[{"id":"aa`) },
			"overlay-layers/layers.json cannot be parsed"},
		"zeros in images.json": {func(s *store) { s.write("overlay-images/images.json", "\x00\x00\x00") },
			"overlay-images/images.json cannot be parsed"},
		"another type": {func(s *store) { s.write("overlay-images/images.json", "{}") },
			"overlay-images/images.json cannot be parsed"},
		"no volatile files": {func(s *store) {
			s.remove("overlay-layers/volatile-layers.json")
			s.remove("overlay-containers/volatile-containers.json")
		}, ""},
		"volatile layers lost": {func(s *store) { s.remove("overlay-layers/volatile-layers.json") },
			"overlay-layers/layers.json has no layer dddddddddddd | app own"},
		"no manifest": {func(s *store) { s.remove("overlay-images/" + id("1") + "/manifest") },
			"overlay-images/1/manifest is missing" + all},
		"empty configuration": {func(s *store) { s.write("overlay-images/"+id("1")+"/"+dataFile("sha256:"+id("1")), "") },
			"is shorter than the image says" + all},
		"podman has not finished it": {func(s *store) {
			s.write("overlay/"+id("b")+"/lower", "")
			s.layers[1]["flags"] = map[string]any{"incomplete": true}
			s.save()
		}, ""},
		"a path for an ID": {func(s *store) {
			s.layers = append(s.layers, map[string]any{"id": "../../etc"})
			s.images = append(s.images, map[string]any{"id": "../..", "layer": "../../etc"})
			s.save()
		}, ""},
		"layers in a circle": {func(s *store) { s.layers[0]["parent"] = id("b"); s.save() }, "overlay/A/lower is missing"},
		"an old layer was on the disk": {func(s *store) {
			s.layer(&s.layers, "e", "", time.Now().Add(-999*time.Hour), map[string]string{"new": "file"})
			s.images = append(s.images, map[string]any{"id": id("2"), "layer": id("e")})
			s.save()
			s.write("overlay/"+id("b")+"/diff/srv/index", "")
			s.write("overlay/"+id("e")+"/diff/new", "")
		}, `overlay/` + id("e") + `/diff has 1 files`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			test.damage(s)
			got := strings.Join(said(check(t, s)), "; ")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("found\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// What the check may not read is unknown, and not whole.
func TestCheckMayNotRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	s := newStore(t)
	hidden := filepath.Join(s.root, "overlay", id("b"), "diff/srv")
	if err := os.Chmod(hidden, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(hidden, 0o700) //nolint:errcheck // t.TempDir tells
	answer := check(t, s)
	if len(answer.Damages) > 0 || len(answer.Unknown) != 1 ||
		!strings.Contains(answer.Unknown[0], "1 files of layer bbbbbbbbbbbb") {
		t.Errorf("%+v", answer)
	}
}

// What an image contains leads nowhere out of its layer.
func TestCheckStaysInside(t *testing.T) {
	s := newStore(t)
	outside := t.TempDir()
	s.remove("overlay/" + id("b") + "/diff/srv")
	if err := os.Symlink(outside, filepath.Join(s.root, "overlay", id("b"), "diff/srv")); err != nil {
		t.Fatal(err)
	}
	s.write("overlay-layers/"+id("a")+".tar-split.gz",
		split(map[string]string{"../../../../etc/passwd": "root", "/": "x"}))
	answer := check(t, s)
	if len(answer.Damages) > 0 ||
		!slices.ContainsFunc(answer.Unknown, func(u string) bool { return strings.Contains(u, "bbbb") }) {
		t.Errorf("%+v", answer)
	}
}

// The check ends in time, and then says so.
func TestCheckEnds(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer, err := Check(ctx, s.root)
	if err != nil || answer.Complete || answer.Examined != 0 || len(answer.Unknown) == 0 {
		t.Errorf("%+v, %v", answer, err)
	}
	if answer := check(t, s); !answer.Complete || answer.Examined != 2 || answer.Layers != 4 {
		t.Errorf("%+v", answer)
	}
}

func TestNoStorage(t *testing.T) {
	if _, err := Check(t.Context(), filepath.Join(t.TempDir(), "no")); err == nil {
		t.Error("there is no directory")
	}
	if answer, err := Check(t.Context(), t.TempDir()); err != nil || len(answer.Damages) > 0 {
		t.Errorf("an empty storage: %+v, %v", answer, err)
	}
}

// Of a storage with another driver nothing is known.
func TestOtherDriver(t *testing.T) {
	dir := t.TempDir()
	for _, of := range []string{"layers", "images", "containers"} {
		if err := os.Mkdir(filepath.Join(dir, "vfs-"+of), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := Check(t.Context(), dir)
	if err != nil || answer.Complete || len(answer.Damages) > 0 || len(answer.Unknown) != 1 ||
		!strings.Contains(answer.Unknown[0], `"vfs"`) {
		t.Errorf("%+v, %v", answer, err)
	}
}

// A damaged list of what a layer was made from says nothing about the layer.
func TestSplitDamaged(t *testing.T) {
	for _, text := range []string{"", "\x00\x00", split(nil)[:10], split(map[string]string{"a": "b"})[:30]} {
		s := newStore(t)
		s.write("overlay-layers/"+id("b")+".tar-split.gz", text)
		answer := check(t, s)
		if len(answer.Damages) > 0 || answer.Complete || len(answer.Unknown) == 0 {
			t.Errorf("%q: %+v", text, answer)
		}
	}
}

func TestAnswer(t *testing.T) {
	s := newStore(t)
	s.write("overlay/"+id("b")+"/lower", "")
	file := filepath.Join(t.TempDir(), "answer.json")
	if err := answerfile.Write(file, check(t, s)); err != nil {
		t.Fatal(err)
	}
	found, err := ReadAnswer(file, s.root)
	if err != nil || found.Image("localhost/web") == nil || found.Container(id("c")) == nil {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := ReadAnswer(file, "/elsewhere"); err == nil {
		t.Error("an answer about another storage is taken")
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAnswer(file, s.root); err == nil {
		t.Error("half an answer is taken")
	}
}

// Any bytes in the files of the storage give an answer or an error.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`[{"id":"a","parent":"b","flags":{"incomplete":true}}]`), []byte("l/AAAA:l/BBBB"))
	f.Fuzz(func(t *testing.T, layers, lower []byte) {
		s := newStore(t)
		s.write("overlay-layers/volatile-layers.json", string(layers))
		s.write("overlay/"+id("a")+"/lower", string(lower))
		root, err := os.OpenRoot(s.root)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if x, err := readIndex(root); err == nil {
			found := newFindings(root, x)
			found.structure()
			found.damages()
		}
	})
}

func FuzzSizes(f *testing.F) {
	f.Add([]byte(split(map[string]string{"a": "b"})))
	f.Fuzz(func(t *testing.T, text []byte) {
		sizes, _ := readSizes(t.Context(), bytes.NewReader(text))
		for name, size := range sizes {
			if size <= 0 || !fs.ValidPath(name) {
				t.Errorf("%q has %d bytes", name, size)
			}
		}
	})
}

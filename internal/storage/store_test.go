package storage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A store is a storage on disk, as podman 5.4.2 leaves it.
type store struct {
	t    *testing.T
	root string
	layers, images,
	containers, volatileLayers, volatileContainers []map[string]any
}

// id is a whole ID that begins with a letter.
func id(letter string) string { return strings.Repeat(letter, 64) }

// newStore returns a storage with the image web: layer b with one file, on layer a with two.
// The container db is of that image, its own layer is c; app is --rm, its own layer is d.
func newStore(t *testing.T) *store {
	s := &store{t: t, root: t.TempDir()}
	past := time.Now().Add(-1000 * time.Hour)
	s.layer(&s.layers, "a", "", past, map[string]string{"bin/sh": "a program", "etc/passwd": "root"})
	s.layer(&s.layers, "b", "a", past.Add(time.Second), map[string]string{"srv/index": "hello"})
	s.layer(&s.layers, "c", "b", past.Add(time.Hour), nil)
	s.layer(&s.volatileLayers, "d", "b", past.Add(time.Hour), nil)
	s.images = append(s.images, map[string]any{"id": id("1"), "names": []string{"localhost/web:latest"}, "layer": id("b"),
		"big-data-sizes": map[string]int{"manifest": 4, "sha256:" + id("1"): 6}})
	s.write("overlay-images/"+id("1")+"/manifest", "text")
	s.write("overlay-images/"+id("1")+"/"+dataFile("sha256:"+id("1")), "config")
	container := func(letter, name string) map[string]any {
		return map[string]any{"id": id(letter), "names": []string{name}, "image": id("1"), "layer": id(letter)}
	}
	s.containers = append(s.containers, container("c", "db"))
	s.volatileContainers = append(s.volatileContainers, container("d", "app"))
	s.save()
	return s
}

// layer makes a layer with files, on a parent. Without files it is a container's own.
func (s *store) layer(list *[]map[string]any, letter, parent string, made time.Time, files map[string]string) {
	link := strings.Repeat(strings.ToUpper(letter), 26)
	l := map[string]any{"id": id(letter), "created": made}
	dir := "overlay/" + id(letter)
	s.write(dir+"/link", link)
	s.mkdir(dir + "/diff")
	if parent != "" {
		l["parent"] = id(parent)
		lower := "l/" + strings.Repeat(strings.ToUpper(parent), 26)
		if above, err := os.ReadFile(filepath.Join(s.root, "overlay", id(parent), "lower")); err == nil {
			lower += ":" + string(above)
		}
		s.write(dir+"/lower", lower)
	}
	s.mkdir("overlay/l")
	if err := os.Symlink("../"+id(letter)+"/diff", filepath.Join(s.root, "overlay/l", link)); err != nil {
		s.t.Fatal(err)
	}
	*list = append(*list, l)
	for name, text := range files {
		s.write(dir+"/diff/"+name, text)
	}
	if files != nil {
		s.write("overlay-layers/"+id(letter)+".tar-split.gz", split(files))
	}
}

// split is what tar-split keeps of an archive with files.
func split(files map[string]string) string {
	var text, zipped bytes.Buffer
	for name, content := range files {
		var header bytes.Buffer
		_ = tar.NewWriter(&header).WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644})
		line, _ := json.Marshal(map[string]any{"type": 2, "payload": header.Bytes()})
		fmt.Fprintf(&text, "%s\n", line)
		line, _ = json.Marshal(map[string]any{"type": 1, "name": "./" + name, "size": len(content), "payload": []byte("crc")})
		fmt.Fprintf(&text, "%s\n", line)
	}
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(text.Bytes())
	_ = w.Close()
	return zipped.String()
}

// save writes the index.
func (s *store) save() {
	for name, list := range map[string]any{
		"overlay-layers/layers.json": s.layers, "overlay-layers/volatile-layers.json": s.volatileLayers,
		"overlay-images/images.json": s.images, "overlay-containers/containers.json": s.containers,
		"overlay-containers/volatile-containers.json": s.volatileContainers,
	} {
		text, err := json.Marshal(list)
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(name, string(text))
	}
}

func (s *store) write(name, text string) {
	s.t.Helper()
	s.mkdir(filepath.Dir(name))
	if err := os.WriteFile(filepath.Join(s.root, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) mkdir(name string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.root, name), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) remove(name string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.root, name)); err != nil {
		s.t.Fatal(err)
	}
}

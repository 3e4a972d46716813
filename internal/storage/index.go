package storage

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// What containers/storage 1.57 writes down of layers, images and containers (layers.go,
// images.go, containers.go), as far as it is needed here. The files volatile-*.json have
// those of --rm containers, and are not synced.
type (
	layer struct {
		ID      string         `json:"id"`
		Parent  string         `json:"parent"`
		Created time.Time      `json:"created"`
		Flags   map[string]any `json:"flags"`
	}
	image struct {
		ID           string           `json:"id"`
		Names        []string         `json:"names"`
		Layer        string           `json:"layer"`
		MappedLayers []string         `json:"mapped-layers"`
		DataSizes    map[string]int64 `json:"big-data-sizes"`
	}
	container struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
		Image string   `json:"image"`
		Layer string   `json:"layer"`
	}
)

// incomplete: podman has yet to finish the layer, and removes it if it never does.
func (l layer) incomplete() bool { is, _ := l.Flags["incomplete"].(bool); return is }

// An index is all that the storage lists.
type index struct {
	layers     map[string]layer
	images     []image
	containers []container
	// broken are the files that do not parse, and why.
	broken map[string]string
}

// maxIndex bounds one file of the index, in bytes.
const maxIndex = 256 << 20

// readIndex reads the index below a graph root. podman replaces each file as a whole, and
// makes layers before images before containers. So they are read in the other order: what is
// listed was there when what it needs is read.
func readIndex(root *os.Root) (index, error) {
	x := index{layers: map[string]layer{}, broken: map[string]string{}}
	var stable, volatile []container
	var layers, volatileLayers []layer
	for _, file := range []struct {
		name string
		into any
	}{
		{"overlay-containers/volatile-containers.json", &volatile},
		{"overlay-containers/containers.json", &stable},
		{imageIndex, &x.images},
		{"overlay-layers/volatile-layers.json", &volatileLayers},
		{"overlay-layers/layers.json", &layers},
	} {
		var syntax *json.SyntaxError
		var wrong *json.UnmarshalTypeError
		switch err := readJSON(root, file.name, file.into); {
		case errors.As(err, &syntax), errors.As(err, &wrong), errors.Is(err, io.ErrUnexpectedEOF):
			x.broken[file.name] = err.Error()
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return x, err
		}
	}
	for _, l := range append(layers, volatileLayers...) {
		x.layers[l.ID] = l
	}
	x.containers = append(stable, volatile...)
	return x, nil
}

// readJSON reads a list. An empty file is an empty list, as podman has it.
func readJSON(root *os.Root, name string, into any) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil || len(text) == 0 {
		return err
	}
	return json.Unmarshal(text, into)
}

// chain returns the layer with that ID and what it lies on, top first. It ends with the
// first that is not listed, which missing names.
func (x index) chain(id string) (layers []layer, missing string) {
	seen := map[string]bool{}
	for id != "" && !seen[id] {
		seen[id] = true
		l, known := x.layers[id]
		if !known {
			return layers, id
		}
		layers = append(layers, l)
		id = l.Parent
	}
	return layers, ""
}

// dataFile is the file that holds an item of an image, below the image's directory
// (containers/storage, makeBigDataBaseName).
func dataFile(key string) string {
	plain := func(r rune) bool { return r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' }
	if strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }) {
		return "=" + base64.StdEncoding.EncodeToString([]byte(key))
	}
	return key
}

// checkID returns an error if an ID cannot be a name of a directory: the index may hold
// anything.
func checkID(id string) error {
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '-' || r == '_')
	}) {
		return fmt.Errorf("%q is no ID", id)
	}
	return nil
}

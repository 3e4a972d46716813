package storage

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// confirmAfter is how much later the index is read again before a fault in it is believed:
// podman may be at work.
const confirmAfter = 200 * time.Millisecond

// Check looks for what a crash of the host damaged in the storage at the graph root. It
// only reads. The error says that there is no storage with the driver overlay, or that it
// may not be read. What is not in the answer may be damaged all the same: the check ends
// with ctx, cannot read what belongs to other users, and compares only those files with
// what they were made from that the kernel may not have written before the crash.
func Check(ctx context.Context, graphRoot string) (recover.StorageCheck, error) {
	answer := recover.StorageCheck{GraphRoot: graphRoot, Damages: []recover.Damage{}}
	root, err := os.OpenRoot(graphRoot)
	if err != nil {
		return answer, err
	}
	defer root.Close()
	if driver := otherDriver(root); driver != "" {
		answer.Unknown = []string{fmt.Sprintf("it has the driver %q, and only overlay is looked at", driver)}
		return answer, nil
	}
	x, err := readIndex(root)
	if err != nil {
		return answer, err
	}
	found := newFindings(root, x)
	found.structure()
	if len(found.faults) > 0 {
		time.Sleep(confirmAfter)
		if x, err = readIndex(root); err != nil {
			return answer, err
		}
		again := newFindings(root, x)
		again.structure()
		again.onlyThoseOf(found)
		found = again
	}
	answer.Layers = len(x.layers)
	answer.Examined, answer.Complete = found.contents(ctx)
	answer.Damages, answer.Unknown = found.damages(), found.unknown
	return answer, nil
}

// otherDriver is the driver of a storage that has none of overlay's, such as "vfs", empty for others.
func otherDriver(root *os.Root) string {
	directories, _ := fs.Glob(root.FS(), "*-layers")
	if len(directories) == 0 || slices.Contains(directories, "overlay-layers") {
		return ""
	}
	return strings.TrimSuffix(directories[0], "-layers")
}

// A fault is what is wrong with a layer, an image or a file of the index.
type fault struct{ layer, image, container, path, what string }

// findings are the faults of one look.
type findings struct {
	root    *os.Root
	x       index
	faults  []fault
	unknown []string
	// links are what the layers call themselves in overlay/l, by the ID of the layer.
	links map[string]string
}

func newFindings(root *os.Root, x index) *findings {
	return &findings{root: root, x: x, links: map[string]string{}}
}

func (f *findings) add(what fault) { f.faults = append(f.faults, what) }

// doubt notes what could not be looked at. A few are enough to say.
func (f *findings) doubt(format string, args ...any) {
	const most = 20
	if text := fmt.Sprintf(format, args...); len(f.unknown) < most && !slices.Contains(f.unknown, text) {
		f.unknown = append(f.unknown, text)
	}
}

// onlyThoseOf drops the faults that an earlier look did not find.
func (f *findings) onlyThoseOf(earlier *findings) {
	f.faults = slices.DeleteFunc(f.faults, func(x fault) bool { return !slices.Contains(earlier.faults, x) })
}

// structure compares the files of the index with one another, and with the directories.
func (f *findings) structure() {
	for file, why := range f.x.broken {
		f.add(fault{path: file, what: "cannot be parsed: " + why})
	}
	if len(f.x.broken) > 0 {
		return // the rest would only follow from that
	}
	for id := range f.x.layers {
		f.layerLinks(id)
	}
	for _, l := range f.x.layers {
		f.layerFiles(l)
	}
	for _, i := range f.x.images {
		f.imageFiles(i)
	}
	for _, c := range f.x.containers {
		if _, missing := f.x.chain(c.Layer); missing != "" {
			f.add(fault{container: c.ID, layer: c.Layer, path: "overlay-layers/layers.json",
				what: "has no layer " + short(missing)})
		}
	}
}

// damages are the faults, with the images and containers that they hit, in an order that
// does not change.
func (f *findings) damages() []recover.Damage {
	damages := make([]recover.Damage, 0, len(f.faults))
	for _, x := range f.faults {
		d := recover.Damage{Path: x.path, What: x.what, Layer: x.layer}
		hit := map[string]bool{}
		for _, i := range f.x.images {
			if i.ID == x.image || x.layer != "" && f.imageNeeds(i, x.layer) {
				d.Images, hit[i.ID] = append(d.Images, recover.StoredImage{ID: i.ID, Names: i.Names}), true
			}
		}
		for _, c := range f.x.containers {
			stored := recover.StoredContainer{ID: c.ID, Names: c.Names}
			own := x.layer != "" && c.Layer == x.layer
			if own {
				d.Own = &stored
			}
			if own || c.ID == x.container || hit[c.Image] || x.layer != "" && f.needs(c.Layer, x.layer) {
				d.Containers = append(d.Containers, stored)
			}
		}
		damages = append(damages, d)
	}
	slices.SortFunc(damages, func(a, b recover.Damage) int { return strings.Compare(a.Path+a.What, b.Path+b.What) })
	return damages
}

// imageNeeds reports whether an image has a layer.
func (f *findings) imageNeeds(i image, id string) bool {
	return slices.ContainsFunc(append([]string{i.Layer}, i.MappedLayers...), func(top string) bool {
		return f.needs(top, id)
	})
}

// needs reports whether the layer top is a layer, or lies on it.
func (f *findings) needs(top, id string) bool {
	layers, missing := f.x.chain(top)
	return missing == id || slices.ContainsFunc(layers, func(l layer) bool { return l.ID == id })
}

// imageLayers are the layers of images, newest first.
func (f *findings) imageLayers() []layer {
	layers := map[string]layer{}
	for _, i := range f.x.images {
		for _, top := range append([]string{i.Layer}, i.MappedLayers...) {
			chain, _ := f.x.chain(top)
			for _, l := range chain {
				layers[l.ID] = l
			}
		}
	}
	return slices.SortedFunc(maps.Values(layers), func(a, b layer) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// short is an ID as podman prints it.
func short(id string) string { return id[:min(12, len(id))] }

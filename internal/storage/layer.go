package storage

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// layerLinks reads what a layer calls itself in overlay/l.
func (f *findings) layerLinks(id string) {
	if err := checkID(id); err != nil {
		f.doubt("layer %v", err)
		return
	}
	text, err := f.root.ReadFile(path.Join("overlay", id, "link"))
	if err == nil {
		f.links[id] = strings.TrimSpace(string(text))
	}
}

// layerFiles looks at the files that say how a layer is stacked. podman writes them without
// a sync (containers/storage, drivers/overlay, create).
func (f *findings) layerFiles(l layer) {
	if checkID(l.ID) != nil || l.incomplete() {
		return
	}
	dir := path.Join("overlay", l.ID)
	at := func(name, what string) { f.add(fault{layer: l.ID, path: path.Join(dir, name), what: what}) }
	if is, err := f.isDir(dir); err != nil || !is {
		if !f.cannotSay(dir, err) {
			at("", "is missing")
		}
		return
	}
	if is, err := f.isDir(path.Join(dir, "diff")); (err != nil || !is) && !f.cannotSay(dir, err) {
		at("diff", "is missing")
	}
	switch link, err := f.root.ReadFile(path.Join(dir, "link")); {
	case f.cannotSay(dir, err):
	case err != nil:
		at("link", "is missing")
	case strings.TrimSpace(string(link)) == "":
		at("link", "is empty")
	}
	if l.Parent != "" {
		f.lower(l, at)
	}
}

// lower looks at the file that lists what a layer lies on. A link in overlay/l that is
// missing is no fault: podman makes it anew from what its layer calls itself.
func (f *findings) lower(l layer, at func(name, what string)) {
	text, err := f.root.ReadFile(path.Join("overlay", l.ID, "lower"))
	switch {
	case f.cannotSay("overlay/"+l.ID, err):
		return
	case err != nil:
		at("lower", "is missing")
		return
	case strings.TrimSpace(string(text)) == "":
		at("lower", "is empty")
		return
	}
	known := map[string]bool{}
	below, missing := f.x.chain(l.Parent)
	for _, parent := range below {
		known[f.links[parent.ID]] = true
	}
	if missing != "" {
		at("lower", "lists a layer that is missing: "+short(missing))
		return
	}
	for entry := range strings.SplitSeq(strings.TrimSpace(string(text)), ":") {
		name, ok := strings.CutPrefix(entry, "l/")
		if ok && name != "" && (known[name] || f.leads(name)) {
			continue
		}
		at("lower", "lists a layer that is not there")
		return
	}
}

// leads reports whether a link in overlay/l leads to a directory.
func (f *findings) leads(name string) bool {
	is, err := f.isDir(path.Join("overlay/l", path.Base(name)))
	return err == nil && is
}

// isDir reports whether a path below the graph root is a directory, or leads to one.
func (f *findings) isDir(name string) (bool, error) {
	info, err := f.root.Stat(name)
	return err == nil && info.IsDir(), err
}

// cannotSay reports whether an error does not mean that something is missing, and notes
// that.
func (f *findings) cannotSay(dir string, err error) bool {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return false
	}
	f.doubt("%s: %v", dir, err)
	return true
}

// imageFiles looks at an image's layer, and at its manifest and its configuration.
func (f *findings) imageFiles(i image) {
	if checkID(i.ID) != nil {
		return
	}
	dir := path.Join("overlay-images", i.ID)
	if i.Layer != "" {
		if _, missing := f.x.chain(i.Layer); missing != "" {
			f.add(fault{image: i.ID, layer: missing, path: "overlay-layers/layers.json", what: "has no layer " + short(missing)})
		}
	}
	for key, size := range i.DataSizes {
		name := path.Join(dir, dataFile(key))
		info, err := f.root.Lstat(name)
		switch {
		case f.cannotSay(dir, err):
		case err != nil:
			f.add(fault{image: i.ID, path: name, what: "is missing"})
		case info.Mode().IsRegular() && info.Size() < size:
			f.add(fault{image: i.ID, path: name, what: "is shorter than the image says"})
		}
	}
}

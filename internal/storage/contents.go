package storage

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// writtenWithin is how long the kernel may keep what was written in memory: 30 s and the 5 s
// to the next look by default (vm.dirty_expire_centisecs, vm.dirty_writeback_centisecs), and
// a margin for a slow disk.
const writtenWithin = 2 * time.Minute

// contents compares the files of the image layers that may not have been on the disk at the
// crash with what these layers were made from. It reports how many layers it looked at,
// and whether that were all of them.
func (f *findings) contents(ctx context.Context) (examined int, complete bool) {
	complete = true
	for _, l := range atRisk(f.imageLayers(), bootTime()) {
		if l.incomplete() || checkID(l.ID) != nil {
			continue
		}
		if ctx.Err() != nil {
			f.doubt("the time was over before layer %s", short(l.ID))
			return examined, false
		}
		switch err := f.content(ctx, l); {
		case err != nil && ctx.Err() != nil:
			f.doubt("the time was over in layer %s", short(l.ID))
			return examined, false
		case err != nil:
			f.doubt("layer %s: %v", short(l.ID), err)
			complete = false
		default:
			examined++
		}
	}
	return examined, complete
}

// atRisk are those of the layers, newest first, that were made within writtenWithin before
// the crash. That moment is not known. It came after the newest layer that is older than
// this boot: what was made longer before that was on the disk. With a clock that is wrong it
// may be all of them.
func atRisk(layers []layer, boot time.Time) []layer {
	var newest time.Time
	for _, l := range layers {
		if l.Created.Before(boot) && l.Created.After(newest) {
			newest = l.Created
		}
	}
	for i, l := range layers {
		if l.Created.Before(newest.Add(-writtenWithin)) {
			return layers[:i]
		}
	}
	return layers
}

// bootTime is when this boot began, by the clock as it is now.
func bootTime() time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(up.Nano()))
}

// content compares the files of one layer. Its error says what could not be compared.
func (f *findings) content(ctx context.Context, l layer) error {
	sizes, err := f.sizes(ctx, l.ID)
	if err != nil {
		return err
	}
	diff, err := f.root.OpenRoot(path.Join("overlay", l.ID, "diff"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // that is a fault of the structure
	}
	if err != nil {
		return err
	}
	defer diff.Close()
	wrong, example, hidden := 0, "", 0
	for name, size := range sizes {
		if ctx.Err() != nil && wrong == 0 {
			return ctx.Err()
		}
		if ctx.Err() != nil {
			break // that it is damaged is known
		}
		info, err := diff.Lstat(name)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			hidden++ // in a directory of another user, or behind a link
			continue
		case err == nil && (!info.Mode().IsRegular() || info.Size() >= size):
			continue
		}
		if wrong++; example == "" || name < example {
			example = name
		}
	}
	if hidden > 0 {
		f.doubt("%d files of layer %s may not be looked at", hidden, short(l.ID))
	}
	if wrong > 0 {
		f.add(fault{layer: l.ID, path: path.Join("overlay", l.ID, "diff"),
			what: fmt.Sprintf("has %d files that are empty, cut short or missing, such as %q", wrong, example)})
	}
	return nil
}

// maxSplit bounds what is read of what a layer was made from, in bytes.
const maxSplit = 1 << 30

// sizes returns the sizes of the files that a layer was made from, by name, but for empty
// ones. podman keeps the archive without its contents (github.com/vbatts/tar-split): a line
// of JSON for each entry.
func (f *findings) sizes(ctx context.Context, id string) (map[string]int64, error) {
	file, err := f.root.Open(path.Join("overlay-layers", id+".tar-split.gz"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readSizes(ctx, file)
}

func readSizes(ctx context.Context, r io.Reader) (map[string]int64, error) {
	unzipped, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("what it was made from cannot be read: %w", err)
	}
	sizes := map[string]int64{}
	lines := json.NewDecoder(io.LimitReader(unzipped, maxSplit))
	for ctx.Err() == nil {
		var entry struct {
			Type int    `json:"type"`
			Name string `json:"name"`
			Size int64  `json:"size"`
		}
		err := lines.Decode(&entry)
		if errors.Is(err, io.EOF) {
			return sizes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("what it was made from cannot be read: %w", err)
		}
		const fileEntry = 1
		name := path.Clean(strings.TrimLeft(entry.Name, "/"))
		if entry.Type != fileEntry || !fs.ValidPath(name) || strings.HasSuffix(entry.Name, "/") {
			continue
		}
		if delete(sizes, name); entry.Size > 0 { // the last entry of a name counts
			sizes[name] = entry.Size
		}
	}
	return nil, ctx.Err()
}

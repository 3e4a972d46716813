package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"archy-recovery/internal/recover"
)

// previous returns the name of the file that keeps the last good generation of a file.
func previous(name string) string { return name + ".previous" }

// load reads a file that has generations. It sets a damaged file aside, reports it, and
// reads the last good generation instead. A good file becomes the last good generation
// when it is read: other programs write these files too, and not always atomically.
//
// The errors are recover.ErrNone and recover.ErrLost.
func load[T any](d *Dir, name string, parse func([]byte) (T, error)) (T, error) {
	var zero T
	content, err := d.read(name)
	if err == nil {
		var value T
		if value, err = parse(content); err == nil {
			d.clearDamage(name)
			replace := d.replaceSoon
			if name == userStoppedFile { // its next writer may be another program, which may write in place
				replace = d.replace
			}
			d.keepGeneration(name, content, replace)
			return value, nil
		}
	}
	missing := errors.Is(err, fs.ErrNotExist)
	generation, generationErr := d.read(previous(name))
	if missing && errors.Is(generationErr, fs.ErrNotExist) {
		return zero, fmt.Errorf("%s: %w", d.file(name), recover.ErrNone)
	}
	aside := ""
	if !missing {
		aside = d.setAside(name, content)
	}
	if generationErr == nil {
		var value T
		if value, generationErr = parse(generation); generationErr == nil {
			d.reportDamage("cannot be used; the last good generation is used instead"+aside, name, err)
			return value, nil
		}
	}
	d.reportDamage("cannot be used, nor can an earlier generation of it"+aside, name, err)
	return zero, fmt.Errorf("%s: %w (%v)", d.file(name), recover.ErrLost, err)
}

// keepGeneration keeps good content as the last good generation of a file, by replace. With replaceSoon it
// reaches the disk with the file that replaces it, at the latest: until then the file itself is there.
func (d *Dir) keepGeneration(name string, content []byte, replace func(string, []byte) error) {
	if d.otherHolds || d.readOnly {
		return
	}
	if kept, err := d.read(previous(name)); err == nil && bytes.Equal(kept, content) {
		return
	}
	if err := replace(previous(name), content); err != nil {
		d.reportDamage("cannot be written, so the last good generation is not kept", previous(name), err)
		return
	}
	d.clearDamage(previous(name))
}

// save replaces a file. Its present content becomes the last good generation if it is good.
func save[T any](d *Dir, name string, value T, parse func([]byte) (T, error)) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if present, err := d.read(name); err == nil {
		if _, err := parse(present); err == nil {
			d.keepGeneration(name, present, d.replaceSoon)
		}
	}
	return d.replace(name, append(content, '\n'))
}

package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"archy-recovery/internal/recover"
)

// Snapshot returns the last good snapshot.
func (d *Dir) Snapshot() (recover.Snapshot, error) {
	return load(d, snapshotFile, parseSnapshot)
}

// SaveSnapshot replaces the snapshot.
func (d *Dir) SaveSnapshot(s recover.Snapshot) error {
	if s.Containers == nil {
		s.Containers = []recover.Container{}
	}
	return save(d, snapshotFile, s, parseSnapshot)
}

// UserStopped returns the names that are never started automatically; none
// where nobody ever stopped anything.
func (d *Dir) UserStopped() ([]string, error) {
	names, err := load(d, userStoppedFile, parseNames)
	if errors.Is(err, recover.ErrNone) {
		return nil, nil
	}
	return names, err
}

// load reads a file that has generations. What does not parse is set aside,
// reported, and the last good generation used. A good file becomes a good
// generation when it is read, since others write these files too, and not
// always atomically.
func load[T any](d *Dir, name string, parse func([]byte) (T, error)) (T, error) {
	var none T
	content, err := d.read(name)
	if err == nil {
		var value T
		if value, err = parse(content); err == nil {
			d.well(name)
			d.remember(name, content)
			return value, nil
		}
	}
	missing := errors.Is(err, fs.ErrNotExist)
	old, oldErr := d.read(previous(name))
	if missing && errors.Is(oldErr, fs.ErrNotExist) {
		return none, fmt.Errorf("%s: %w", d.file(name), recover.ErrNone)
	}
	aside := ""
	if !missing {
		if copied := d.setAside(name, content); copied != "" {
			aside = "; a copy is kept as " + copied
		}
	}
	if oldErr == nil {
		var value T
		if value, oldErr = parse(old); oldErr == nil {
			d.log("cannot be used, the last good generation is"+aside, name, err)
			return value, nil
		}
	}
	d.log("cannot be used, nor a generation before it"+aside, name, err)
	return none, fmt.Errorf("%s: %w (%v)", d.file(name), recover.ErrLost, err)
}

// remember keeps good content as the last good generation.
func (d *Dir) remember(name string, content []byte) {
	if d.held || d.readOnly {
		return
	}
	if old, err := d.read(previous(name)); err == nil && bytes.Equal(old, content) {
		return
	}
	if err := d.replace(previous(name), content); err != nil {
		d.log("the last good generation cannot be kept", previous(name), err)
		return
	}
	d.well(previous(name))
}

// save replaces a file; what is there becomes the previous generation if it is
// good.
func save[T any](d *Dir, name string, value T, parse func([]byte) (T, error)) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	now, err := d.read(name)
	if err == nil {
		if _, err := parse(now); err == nil {
			d.remember(name, now)
		}
	}
	return d.replace(name, append(content, '\n'))
}

// parseSnapshot reads {"timestamp":…,"containers":[{"name":…,"image":…}]}.
// More fields are allowed. A name that is none spoils the whole file: it was
// not written by us or by the old module.
func parseSnapshot(content []byte) (recover.Snapshot, error) {
	var s struct {
		recover.Snapshot
		Containers *[]recover.Container `json:"containers"` // goes before the embedded one
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return recover.Snapshot{}, err
	}
	if s.Containers == nil {
		return recover.Snapshot{}, errors.New("no member \"containers\"")
	}
	for i, c := range *s.Containers {
		if err := recover.CheckName(c.Name); err != nil {
			return recover.Snapshot{}, err
		}
		if c.Tier != nil && (*c.Tier < 0 || *c.Tier > recover.MaxTier) {
			(*s.Containers)[i].Tier = nil // as of a label that is no tier
		}
	}
	s.Snapshot.Containers = *s.Containers
	return s.Snapshot, nil
}

// parseNames reads an array of names. One that no container can have matches
// none, and stays: the file is not only ours.
func parseNames(content []byte) ([]string, error) {
	var names []string
	if err := json.Unmarshal(content, &names); err != nil {
		return nil, err
	}
	if names == nil {
		return nil, errors.New("not an array of names")
	}
	return names, nil
}

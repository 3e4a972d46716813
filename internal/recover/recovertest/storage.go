package recovertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// Storage is a host's podman storage, as its units and a repair reach it.
type Storage struct{ H *Host }

// WatchImages does nothing.
func (Storage) WatchImages(context.Context, string) error { return nil }

// AwaitImages calls done, and again for each value of ImagesCame.
func (s Storage) AwaitImages(ctx context.Context, _ string, done func() bool) error {
	for !done() {
		select {
		case <-s.H.ImagesCame:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Sync does nothing.
func (Storage) Sync(context.Context, string) error { return nil }

// Check tells the damages, or StorageErr. Looking holds it up, if that is set.
func (s Storage) Check(ctx context.Context, root string) (recover.StorageCheck, error) {
	s.H.Mu.Lock()
	looking := s.H.Looking
	s.H.Mu.Unlock()
	for range 2 {
		if looking == nil {
			break
		}
		select {
		case <-looking:
		case <-ctx.Done():
			return recover.StorageCheck{}, ctx.Err()
		}
	}
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	return recover.StorageCheck{GraphRoot: root, Damages: slices.Clone(s.H.Damages),
		Complete: !s.H.Hurried}, s.H.StorageErr
}

// StoredNames lists what podman knows, and External.
func (s Storage) StoredNames(context.Context) ([]recover.StoredName, error) {
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	names := append([]recover.StoredName{}, s.H.External...)
	for name, sighting := range s.H.Sightings {
		names = append(names, recover.StoredName{ID: sighting.ID, Name: name, ImageID: s.H.Images[sighting.Image],
			Running: sighting.Running()})
	}
	return names, s.H.PodmanErr
}

// ImageInfo knows the images of Images by their names and IDs, each with the digest "1".
func (s Storage) ImageInfo(_ context.Context, image string) (recover.ImageInfo, error) {
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	id, named := s.H.Images[image]
	if !named {
		id = image
	}
	info := recover.ImageInfo{ID: id, Size: s.H.ImageSize}
	for name, its := range s.H.Images {
		if its == id {
			info.Names = append(info.Names, name)
			info.Digests = append(info.Digests, digestOf(name))
		}
	}
	if s.H.NoDigests {
		info.Digests = nil
	}
	if reserved, is := s.H.Reserved[id]; is {
		info.Reserved, info.Digests = &reserved, nil
	}
	if !named && !slices.Contains(s.H.Unnamed, id) && len(info.Names) == 0 {
		return recover.ImageInfo{}, recover.ErrNoImage
	}
	slices.Sort(info.Names)
	slices.Sort(info.Digests)
	return info, nil
}

// digestOf is the reference of an image by its digest.
func digestOf(name string) string {
	repository, _, _ := strings.Cut(name, ":")
	return repository + "@sha256:1"
}

// change tells the history of a change, and makes it, unless MendErr forbids a change with that
// begin.
func (s Storage) change(say string, do func()) error {
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	if s.H.MendErr != "" && strings.HasPrefix(say, s.H.MendErr) {
		return errors.New("it cannot be done: " + say)
	}
	s.H.Say("%s", say)
	do()
	return nil
}

// RegistryHas has every image, unless MendErr is "ask".
func (s Storage) RegistryHas(_ context.Context, reference string) error {
	return s.change("ask "+reference, func() {})
}

// ReserveName gives the name to an image that says so.
func (s Storage) ReserveName(_ context.Context, name string, r recover.Reserved) error {
	return s.change("reserve "+name, func() {
		if s.H.Reserved == nil {
			s.H.Reserved = map[string]recover.Reserved{}
		}
		s.H.Unnamed = append(s.H.Unnamed, s.H.Images[name])
		s.H.Images[name] = "reserved-" + name
		s.H.Reserved["reserved-"+name] = r
	})
}

// RemoveImage removes an image that has no name.
func (s Storage) RemoveImage(_ context.Context, id string) error {
	return s.change("remove image "+id, func() {
		s.H.Unnamed = slices.DeleteFunc(s.H.Unnamed, func(i string) bool { return i == id })
		s.H.Damages = slices.DeleteFunc(s.H.Damages, func(d recover.Damage) bool {
			return slices.ContainsFunc(d.Images, func(i recover.StoredImage) bool { return i.ID == id })
		})
	})
}

// PullImage pulls it.
func (s Storage) PullImage(_ context.Context, reference string) error {
	return s.change("pull "+reference, func() {})
}

// archiveOf is the archive of an image.
func archiveOf(id string) string { return "archive of " + id }

// SaveImage saves it.
func (s Storage) SaveImage(_ context.Context, id string, w io.Writer) error {
	return s.change("save "+id, func() { _, _ = io.WriteString(w, archiveOf(id)) })
}

// CheckArchive takes only what SaveImage writes for whole.
func (Storage) CheckArchive(archive io.Reader, id string) error {
	text, err := io.ReadAll(archive)
	if err == nil && string(text) != archiveOf(id) {
		err = errors.New("it is damaged")
	}
	return err
}

// LoadImage loads it. It has no name then.
func (s Storage) LoadImage(_ context.Context, archive io.ReadSeeker, size int64) error {
	text, err := io.ReadAll(archive)
	if err != nil || int64(len(text)) != size {
		return fmt.Errorf("%d bytes of %d: %w", len(text), size, err)
	}
	id := strings.TrimPrefix(string(text), archiveOf(""))
	return s.change("load "+id, func() { s.H.Unnamed = append(s.H.Unnamed, id) })
}

// TagImage gives it the name.
func (s Storage) TagImage(_ context.Context, reference, name string) error {
	return s.change("tag "+name, func() {
		s.H.Unnamed = append(s.H.Unnamed, s.H.Images[name])
		s.H.Images[name] = "of " + reference
	})
}

// RemoveContainer removes it, and says so in the history.
func (s Storage) RemoveContainer(_ context.Context, id string) error {
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	s.H.Say("remove %s", id)
	for i, e := range s.H.External {
		if e.ID == id {
			s.H.External = append(s.H.External[:i:i], s.H.External[i+1:]...)
			return nil
		}
	}
	for name, sighting := range s.H.Sightings {
		if sighting.ID == id {
			delete(s.H.Sightings, name)
		}
	}
	return nil
}

// CheckNetworks tells Networks, or NetworksErr.
func (s Storage) CheckNetworks(context.Context) (recover.NetworkCheck, error) {
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	s.H.NetworkLooks++
	return s.H.Networks, s.H.NetworksErr
}

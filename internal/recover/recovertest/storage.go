package recovertest

import (
	"context"

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
	return recover.StorageCheck{GraphRoot: root, Damages: s.H.Damages, Complete: true}, s.H.StorageErr
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

// ImageInfo knows the images of Images, each with a digest.
func (s Storage) ImageInfo(_ context.Context, image string) (recover.ImageInfo, error) {
	s.H.Mu.Lock()
	defer s.H.Mu.Unlock()
	id, known := s.H.Images[image]
	if !known {
		return recover.ImageInfo{}, recover.ErrNoImage
	}
	return recover.ImageInfo{ID: id, Names: []string{image}, Digests: []string{image + "@sha256:1"}}, nil
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

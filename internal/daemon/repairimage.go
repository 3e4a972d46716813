package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// A wantedImage is the image that a container's next start would use.
type wantedImage struct {
	// reference is what the container calls it.
	reference string
	// info is what podman knows of it, nil without an answer; damage is what the storage says.
	info   *recover.ImageInfo
	damage *recover.Damage
}

// reserved reports whether there is no image, but only its name: a repair was cut short.
func (i wantedImage) reserved() bool { return i.info != nil && i.info.Reserved != nil }

// imageOf looks for the image that a row's container uses.
func (r *repairer) imageOf(ctx context.Context, row recover.Row, found recover.StorageCheck) wantedImage {
	i := wantedImage{reference: row.Image, damage: found.Image(row.Image)}
	if row.Image == "" {
		return i
	}
	info, err := r.service.world.Mender.ImageInfo(ctx, row.Image)
	if err != nil {
		return i // podman may not be able to read what is damaged
	}
	i.info = &info
	if i.damage == nil {
		i.damage = found.Image(info.ID) // it may have a short name
	}
	return i
}

// learnImage fills in what a repair of the image is decided by.
func (r *repairer) learnImage(
	ctx context.Context, i wantedImage, found recover.StorageCheck, stored []recover.StoredName, f *recover.RepairFacts,
) {
	switch {
	case i.info == nil:
		return
	case i.reserved():
		r.learnReserved(ctx, *i.info.Reserved, f)
	default:
		image := *i.info
		image.Digests = sameRepositoryFirst(image.Digests, i.reference)
		f.Image, f.Unreserved, f.Found = &image, image.Names, found.Image(image.ID) != nil
	}
	f.Pinned = strings.Contains(i.reference, "@")
	if archives := r.service.world.Archives; archives != nil {
		f.Archive = archives.Path(f.Image.ID)
	}
	for _, s := range stored {
		if s.ImageID == f.Image.ID && s.Name != f.Name {
			f.Users = append(f.Users, s)
		}
	}
	for _, image := range found.Sharing(f.Image.ID) {
		f.Sharers = append(f.Sharers, imageNames(recover.Damage{Images: []recover.StoredImage{image}})...)
	}
}

// learnReserved fills in where a repair that was cut short goes on.
func (r *repairer) learnReserved(ctx context.Context, reserved recover.Reserved, f *recover.RepairFacts) {
	m := r.service.world.Mender
	f.Image = &recover.ImageInfo{ID: reserved.ID}
	if reserved.Reference != reserved.ID {
		f.Image.Digests = []string{reserved.Reference}
	}
	_, err := m.ImageInfo(ctx, reserved.ID)
	// What else has the damage was asked before the first name was reserved.
	f.Found, f.Gone = true, errors.Is(err, recover.ErrNoImage)
	for _, name := range reserved.Names {
		switch has, err := m.ImageInfo(ctx, name); {
		case err == nil && has.ID == reserved.ID:
			f.Unreserved = append(f.Unreserved, name)
		case err == nil && (has.Reserved == nil || has.Reserved.ID != reserved.ID):
			continue // somebody has given it to another image since
		}
		f.Image.Names = append(f.Image.Names, name)
	}
}

// sameRepositoryFirst sorts references: first those of the repository that a name has.
func sameRepositoryFirst(references []string, name string) []string {
	sorted := slices.Clone(references)
	other := func(reference string) int {
		repository, _, _ := strings.Cut(reference, "@")
		if strings.HasPrefix(name, repository+":") || strings.HasPrefix(name, repository+"@") || name == repository {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(sorted, func(a, b string) int { return other(a) - other(b) })
	return sorted
}

// tag gives an image that has come its name. What kept the name until now has done its work.
func (r *repairer) tag(ctx context.Context, reference, name string) error {
	w := r.service.world
	before, err := w.Mender.ImageInfo(ctx, name)
	keptIt := err == nil && before.Reserved != nil
	if err := w.Mender.TagImage(ctx, reference, name); err != nil {
		return err
	}
	r.service.checkup.mended(name)
	if keptIt {
		if err := w.Mender.RemoveImage(ctx, before.ID); err != nil {
			w.Log.Info("an image without content is left. Remove it with podman image prune", "image", before.ID, "reason", err)
		}
	}
	return nil
}

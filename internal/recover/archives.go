package recover

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// A KeptImage is an image of which there is an archive. Size is that of the archive, in bytes.
type KeptImage struct {
	ID   string
	Size int64
	Kept time.Time
}

// An UsedImage is an image of the set. Size is what its layers have, in bytes. Names are the
// containers that use it.
type UsedImage struct {
	ID    string
	Size  int64
	Names []string
	// Runs: one of them is up with it. Only what has run is kept.
	Runs bool
}

// ErrNoRoom: an archive has no room. It is larger than what is left of KeepImagesMax=, or the disk
// would be left with too little.
var ErrNoRoom = errors.New("no room for the archive")

// ArchiveFacts are what is known when archives are made.
type ArchiveFacts struct {
	Used []UsedImage
	Kept []KeptImage
	// Has tells of a kept image that is not used whether podman has it.
	Has map[string]bool
	// Unsure: the image of a member is not known. It may be any of those that are kept.
	Unsure bool
	// Max is KeepImagesMax=, and Free what the disk has for archives, in bytes.
	Max, Free int64
}

// PlanArchives says which archives are to be removed, which images to be kept, and which of those
// have no room. An archive that no member uses stays while podman has the image, since a roll-back
// would use it, and while its room is not needed: the oldest goes first. Smaller images are kept
// before larger ones, so that as many as possible are.
func PlanArchives(f ArchiveFacts) (drop []string, keep, noRoom []UsedImage) {
	var spare []KeptImage
	left := f.Max
	for _, k := range f.Kept {
		left -= k.Size
		switch {
		case slices.ContainsFunc(f.Used, func(u UsedImage) bool { return u.ID == k.ID }) || f.Unsure:
		case !f.Has[k.ID]:
			drop, left, f.Free = append(drop, k.ID), left+k.Size, f.Free+k.Size
		default:
			spare = append(spare, k)
		}
	}
	slices.SortStableFunc(spare, func(a, b KeptImage) int { return a.Kept.Compare(b.Kept) })
	used := slices.Clone(f.Used)
	slices.SortStableFunc(used, func(a, b UsedImage) int { return cmp.Compare(a.Size, b.Size) })
	// podman writes the archive to a file of its own first, in most cases on the same disk.
	fits := func(u UsedImage, more int64) bool { return u.Size <= left+more && 2*u.Size <= f.Free+more }
	for _, u := range used {
		if !u.Runs || slices.ContainsFunc(f.Kept, func(k KeptImage) bool { return k.ID == u.ID }) {
			continue
		}
		var yields int64
		for _, k := range spare {
			yields += k.Size
		}
		if !fits(u, yields) {
			noRoom = append(noRoom, u)
			continue
		}
		for !fits(u, 0) {
			drop, left, f.Free = append(drop, spare[0].ID), left+spare[0].Size, f.Free+spare[0].Size
			spare = spare[1:]
		}
		keep, left, f.Free = append(keep, u), left-u.Size, f.Free-u.Size
	}
	return drop, keep, noRoom
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// Archives keep images in the data directory, each as podman saves it.
type Archives interface {
	// Kept lists them.
	Kept() ([]recover.KeptImage, error)
	// Free is how much the disk has for more of them, in bytes.
	Free() (int64, error)
	// Path is the file of an image's archive, empty if there is none.
	Path(id string) string
	Open(id string) (io.ReadSeekCloser, error)
	Remove(id string) error
	// Keep keeps what write writes, if that has no more than most bytes, and if check finds the image
	// in what the disk has. pause is called after each portion of both. recover.ErrNoRoom: it has
	// more, or the disk is about to be full.
	Keep(ctx context.Context, id string, most int64, write func(io.Writer) error, check func(io.Reader) error,
		pause func()) error
}

// An archivist keeps the images of the set in archives, if KeepImages= says so. It works after READY
// and after containers were made, once they have lasted, and only until all is kept.
type archivist struct {
	world  World
	policy recover.Policy
	board  *board
	// made has room for one: there are new containers.
	made chan struct{}
	// told are the images that have no room, as far as the journal has them. Only run uses it.
	told map[string]bool
}

func newArchivist(w World, p recover.Policy, b *board) *archivist {
	return &archivist{world: w, policy: p, board: b, made: make(chan struct{}, 1), told: map[string]bool{}}
}

// sawNew is told that there are new containers.
func (a *archivist) sawNew() {
	select {
	case a.made <- struct{}{}:
	default: // one round is for all
	}
}

const (
	// keepAgain is when it tries again what failed, at first. The time doubles, up to keepAgainMost:
	// podman 4 leaves its temporary file each time that it cannot save an image.
	keepAgain, keepAgainMost = time.Hour, 7 * 24 * time.Hour
)

// run keeps images until ctx ends.
func (a *archivist) run(ctx context.Context) {
	if !a.policy.KeepImages || a.policy.Mode != recover.ModeNormal || a.world.Archives == nil || a.world.Mender == nil {
		return
	}
	late := keepAgain
	var again <-chan time.Time
	for {
		select {
		case <-a.made:
			late = keepAgain
		case <-again:
		case <-ctx.Done():
			return
		}
		engine.Sleep(ctx, a.policy.Soak)
		again = nil
		if err := a.keepAll(ctx); err != nil && ctx.Err() == nil {
			a.world.Log.Warn("images are not kept yet", "MESSAGE_ID", recover.MsgImpaired, "reason", err, "again", late)
			again, late = time.After(late), min(2*late, keepAgainMost)
		}
	}
}

// keepAll keeps what is to be kept, and removes what is not.
func (a *archivist) keepAll(ctx context.Context) error {
	facts, err := a.learn(ctx)
	if err != nil {
		return err
	}
	drop, keep, noRoom := recover.PlanArchives(facts)
	for _, u := range noRoom {
		a.tellNoRoom(u, recover.ErrNoRoom)
	}
	for _, id := range drop {
		if err := a.world.Archives.Remove(id); err != nil {
			return err
		}
		a.world.Log.Info("the archive of an image is removed: no container uses it", "image", id)
	}
	var failed error
	for _, u := range keep {
		a.calm(ctx)
		if err := a.keep(ctx, u); errors.Is(err, recover.ErrNoRoom) {
			a.tellNoRoom(u, err)
		} else if err != nil {
			failed = errors.Join(failed, fmt.Errorf("the image of %s: %w", u.Names[0], err))
		}
	}
	return failed
}

func (a *archivist) tellNoRoom(u recover.UsedImage, err error) {
	if !a.told[u.ID] {
		a.world.Log.Warn("an image is not kept in an archive", "MESSAGE_ID", recover.MsgImpaired,
			"image", u.ID, "used_by", strings.Join(u.Names, " "), "bytes", u.Size, "reason", err)
	}
	a.told[u.ID] = true
}

// keep keeps one image.
func (a *archivist) keep(ctx context.Context, u recover.UsedImage) error {
	w := a.world
	kept, err := w.Archives.Kept()
	if err != nil {
		return err
	}
	most := a.policy.KeepImagesMax
	for _, k := range kept {
		most -= k.Size
	}
	began := time.Now()
	err = w.Archives.Keep(ctx, u.ID, most, func(out io.Writer) error { return w.Mender.SaveImage(ctx, u.ID, out) },
		func(in io.Reader) error { return w.Mender.CheckArchive(in, u.ID) }, a.pauses(ctx))
	if err == nil {
		w.Log.Info("an image is kept in an archive", "image", u.ID, "used_by", strings.Join(u.Names, " "),
			"duration", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// learn asks podman what the set uses.
func (a *archivist) learn(ctx context.Context) (recover.ArchiveFacts, error) {
	w := a.world
	f := recover.ArchiveFacts{Max: a.policy.KeepImagesMax, Has: map[string]bool{}}
	if err := w.storage.check(ctx); err != nil {
		return f, err
	}
	var err error
	if f.Kept, err = w.Archives.Kept(); err != nil {
		return f, err
	}
	if f.Free, err = w.Archives.Free(); err != nil {
		return f, err
	}
	stored, err := w.Mender.StoredNames(ctx)
	if err != nil {
		return f, err
	}
	byName := map[string]recover.StoredName{}
	for _, s := range stored {
		byName[s.Name] = s
	}
	used := map[string]*recover.UsedImage{}
	for _, c := range a.board.currentSet().Containers {
		s, exists := byName[c.Name]
		id := s.ImageID // none if it runs from a directory
		if !exists {
			if id = a.imageOf(ctx, c.Image); id == "" {
				f.Unsure = true
			}
		}
		if id == "" {
			continue
		}
		if used[id] == nil {
			used[id] = &recover.UsedImage{ID: id}
		}
		used[id].Names = append(used[id].Names, c.Name)
		used[id].Runs = used[id].Runs || s.Running
	}
	for _, k := range f.Kept {
		if used[k.ID] == nil {
			_, err := w.Mender.ImageInfo(ctx, k.ID)
			f.Has[k.ID] = !errors.Is(err, recover.ErrNoImage)
		}
	}
	for id, u := range used {
		if u.Runs && w.Archives.Path(id) == "" {
			info, err := w.Mender.ImageInfo(ctx, id)
			if err != nil {
				return f, err
			}
			u.Size, u.Runs = info.Size, info.Reserved == nil
		}
		f.Used = append(f.Used, *u)
	}
	return f, nil
}

// imageOf is the ID of the image that a reference means, or of the one that is to come again by that
// name. It is empty if that is not known.
func (a *archivist) imageOf(ctx context.Context, reference string) string {
	if reference == "" {
		return ""
	}
	info, err := a.world.Mender.ImageInfo(ctx, reference)
	switch {
	case err != nil:
		return ""
	case info.Reserved != nil:
		return info.Reserved.ID
	}
	return info.ID
}

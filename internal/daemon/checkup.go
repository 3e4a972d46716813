package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// checkupWithin bounds the look at podman's storage with the start of its unit.
const checkupWithin = 15 * time.Second

// A checkup is a look at podman's storage after a crash of the host. It runs beside the
// recovery, and no start waits for it.
type checkup struct {
	world World
	board *board
	once  sync.Once
	// over is closed when the answer is there, or will not come.
	over chan struct{}

	mu     sync.Mutex
	answer storageAnswer
}

// A storageAnswer is what a checkup found; nothing while that is not known.
type storageAnswer struct{ recover.StorageCheck }

func newCheckup(w World, b *board) *checkup {
	return &checkup{world: w, board: b, over: make(chan struct{})}
}

// begin looks at the storage in the background, once.
func (c *checkup) begin(background *sync.WaitGroup, ctx context.Context) {
	root := c.world.storage.where()
	if c.world.StorageUnits == nil || root == "" {
		return
	}
	c.once.Do(func() { background.Go(func() { c.run(ctx, root) }) })
}

func (c *checkup) run(ctx context.Context, root string) {
	defer close(c.over)
	var missing *engine.NotMounted
	if errors.As(c.world.storage.check(ctx), &missing) && c.world.Systemd.AwaitMounts(ctx, missing.Points) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkupWithin)
	defer cancel()
	found, err := c.world.StorageUnits.Check(ctx, root)
	switch {
	case errors.Is(err, recover.ErrMasked), err != nil && ctx.Err() != nil:
		return
	case err != nil:
		c.world.Log.Info("it is not known whether the crash damaged podman's storage",
			"MESSAGE_ID", recover.MsgImpaired, "reason", err)
		return
	}
	c.mu.Lock()
	c.answer = storageAnswer{found}
	c.mu.Unlock()
	for _, d := range found.Damages {
		c.world.Log.Warn("podman's storage is damaged: "+d.Path+" "+d.What, "MESSAGE_ID", recover.MsgStorageDamaged,
			"path", d.Path, "images", strings.Join(imageNames(d), " "))
	}
	if len(found.Damages) > 0 {
		c.board.addNote(noteOf(found))
	}
}

// noteOf says in one line what is damaged.
func noteOf(found recover.StorageCheck) string {
	var images, own []string
	for _, d := range found.Damages {
		images = append(images, imageNames(d)...)
		if d.Own != nil {
			own = append(own, d.Own.Names...)
		}
	}
	slices.Sort(images)
	images = slices.Compact(images)
	text := "the crash damaged podman's storage"
	if len(images) > 0 {
		text += fmt.Sprintf(", the images %s", strings.Join(images, " "))
	}
	if len(own) > 0 {
		slices.Sort(own)
		text += fmt.Sprintf(", the containers %s", strings.Join(slices.Compact(own), " "))
	}
	return text + ": see archy-recovery storage check " + found.GraphRoot
}

// imageNames are the names of the images that a damage hits; the ID of one without a name.
func imageNames(d recover.Damage) (names []string) {
	for _, i := range d.Images {
		if len(i.Names) == 0 {
			names = append(names, i.ID)
		}
		names = append(names, i.Names...)
	}
	return names
}

// soFar is what is known now.
func (c *checkup) soFar() storageAnswer {
	if c == nil {
		return storageAnswer{}
	}
	select {
	case <-c.over:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.answer
	default:
		return storageAnswer{}
	}
}

// mended is told that an image has come again: its damage does not keep anything down any more.
func (c *checkup) mended(image string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer.Damages = slices.DeleteFunc(slices.Clone(c.answer.Damages), func(d recover.Damage) bool {
		return recover.StorageCheck{Damages: []recover.Damage{d}}.Image(image) != nil
	})
}

// wait is what is known when the look is over, or ctx has ended. It does not wait for a look
// that was never begun.
func (c *checkup) wait(ctx context.Context) storageAnswer {
	if c == nil {
		return storageAnswer{}
	}
	c.once.Do(func() { close(c.over) })
	select {
	case <-c.over:
	case <-ctx.Done():
	}
	return c.soFar()
}

// damaged returns why a row's container cannot start, nil if nothing is known that prevents
// it. id is podman's ID of a container without a unit of its own. One that its unit makes
// anew needs its image, and not the layer that it had.
func (a storageAnswer) damaged(row recover.Row, id string) error {
	if row.Generated && id != "" {
		if d := a.Container(id); d != nil {
			return &recover.Damaged{Container: row.Name, Image: row.Image, Damage: *d}
		}
	}
	if d := a.Image(row.Image); d != nil {
		return &recover.Damaged{Container: row.Name, Image: row.Image, Damage: *d}
	}
	return nil
}

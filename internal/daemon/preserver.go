package daemon

import (
	"context"
	"errors"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// syncEvery is the least time between two syncs for the sake of containers. A sync makes
// others wait for the disk, and a container is made at each start of a Quadlet unit.
const syncEvery = time.Minute

// A preserver has podman's storage synced, so that a power cut does not damage what is
// younger than the kernel's own writeback: half a minute by default. Without it a new image
// is listed after a cut, and its files are empty. A unit watches for images. For containers
// the storage is synced after READY, and when the keeper has seen a new one.
type preserver struct {
	world World
	made  chan struct{}
	// ids are podman's IDs of the containers seen last. Only the keeper's looks use it.
	ids map[string]bool
	// sawNew tells that there are new containers.
	sawNew func()
}

func newPreserver(w World) *preserver {
	return &preserver{world: w, made: make(chan struct{}, 1), sawNew: func() {}}
}

// saw is told what podman lists.
func (p *preserver) saw(list recover.Sightings) {
	ids, fresh := map[string]bool{}, false
	for _, s := range list {
		ids[s.ID] = true
		fresh = fresh || !p.ids[s.ID]
	}
	p.ids = ids
	if fresh {
		p.sawNew()
		select {
		case p.made <- struct{}{}:
		default: // one sync is for all
		}
	}
}

// run preserves until ctx ends. What it cannot do is told, and delays nothing.
func (p *preserver) run(ctx context.Context) {
	root := p.world.storage.where()
	if p.world.StorageUnits == nil || root == "" {
		return
	}
	p.tell(ctx, "images are not synced when they come, and a power cut soon after may damage them",
		p.world.StorageUnits.WatchImages(ctx, root))
	for ctx.Err() == nil {
		select { // what was made until now is synced now
		case <-p.made:
		default:
		}
		err := p.world.StorageUnits.Sync(ctx, root)
		p.tell(ctx, "podman's storage is not synced, and a power cut soon after may damage new containers", err)
		if errors.Is(err, recover.ErrMasked) {
			return
		}
		synced := time.Now()
		select {
		case <-p.made:
			engine.Sleep(ctx, syncEvery-time.Since(synced)) // no timer runs while nothing is made
		case <-ctx.Done():
		}
	}
}

// tell logs what did not work. That the operator has masked the unit is no fault.
func (p *preserver) tell(ctx context.Context, text string, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, recover.ErrMasked):
		p.world.Log.Info(text, "reason", err)
	default:
		p.world.Log.Warn(text, "MESSAGE_ID", recover.MsgImpaired, "reason", err)
	}
}

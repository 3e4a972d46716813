package cli

import (
	"context"
	"time"

	"archy-recovery/internal/control"
)

// redrawEvery is how often a display is drawn again for the time that passes.
const redrawEvery = 200 * time.Millisecond

// follow is Client.Follow, but calls tick too, now and then between two
// statuses, from the same goroutine.
func follow(ctx context.Context, client *control.Client, each func(control.Status) bool, tick func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	statuses := make(chan control.Status)
	ended := make(chan error, 1)
	go func() {
		ended <- client.Follow(ctx, func(st control.Status) bool {
			select {
			case statuses <- st:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case st := <-statuses:
			if !each(st) {
				stop()
				<-ended
				return nil
			}
		case <-ticker.C:
			tick()
		case err := <-ended:
			if err == nil { // not because each had enough
				err = ctx.Err()
			}
			return err
		}
	}
}

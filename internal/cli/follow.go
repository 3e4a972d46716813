package cli

import (
	"context"
	"time"

	"archy-recovery/internal/control"
)

// tickEvery is how often a display is redrawn because time passes.
const tickEvery = 200 * time.Millisecond

// followWithTicks is Client.Follow, and also calls tick every tickEvery, from the
// same goroutine as each.
func followWithTicks(ctx context.Context, client *control.Client, each func(control.Status) bool, tick func()) error {
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
	ticker := time.NewTicker(tickEvery)
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
			if err == nil { // Follow ended because of ctx, not because of each
				err = ctx.Err()
			}
			return err
		}
	}
}

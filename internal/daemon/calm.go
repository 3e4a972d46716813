package daemon

import (
	"context"
	"time"

	"archy-recovery/internal/recover/engine"
)

const (
	// Shares of a time in which some task waited for memory or for the disk, above which work that
	// nobody waits for gives way. They are those of starts.
	memoryShare, ioShare = 0.10, 0.40
	// calmFor is how long the host has to be under little pressure before an image is saved: podman
	// writes that to a file of its own first, as fast as it can.
	calmFor = 5 * time.Second
	// The pause after a portion is so many times as long as that took, within these bounds.
	pauseTimes             = 3
	shortPause, longPause  = 10 * time.Millisecond, 5 * time.Second
	givesWay, givesWayMost = 15 * time.Second, 30 * time.Minute
	portionAtLeast         = time.Minute
)

// rest sleeps, and reports whether others had to wait meanwhile. A kernel that does not tell leaves
// it at the pauses.
func (a *archivist) rest(ctx context.Context, d time.Duration) (pressed bool) {
	before, err := a.world.Gauge.Stalls()
	engine.Sleep(ctx, d)
	if err != nil || ctx.Err() != nil {
		return false
	}
	after, err := a.world.Gauge.Stalls()
	share := func(after, before time.Duration) float64 { return float64(after-before) / float64(d) }
	return err == nil &&
		(share(after.Memory, before.Memory) > memoryShare || share(after.IO, before.IO) > ioShare)
}

// calm waits until the host is under little pressure.
func (a *archivist) calm(ctx context.Context) {
	for wait := givesWay; a.rest(ctx, calmFor); wait = min(2*wait, givesWayMost) {
		engine.Sleep(ctx, wait)
	}
}

// pauses returns what pauses after each portion of an archive: so long that the disk is idle for most
// of the time, and longer while others wait for it. A portion a minute is written in any case.
func (a *archivist) pauses(ctx context.Context) func() {
	last := time.Now()
	return func() {
		wait := min(max(pauseTimes*time.Since(last), shortPause), longPause)
		for until := time.Now().Add(portionAtLeast); a.rest(ctx, wait) && time.Now().Before(until); {
			wait = min(2*wait, longPause)
		}
		last = time.Now()
	}
}

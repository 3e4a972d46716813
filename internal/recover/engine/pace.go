package engine

import (
	"time"

	"archy-recovery/internal/recover"
)

// A pace is how many starts go on side by side. It begins with MinParallel.
// While others wait for a place it grows, up to MaxParallel, as long as the host
// does not suffer: starts that only wait for something cost nothing, and ones
// that compete for memory or disk take longer, all of them, the more they are.
// (Ones that compete for the CPU alone take no longer as a whole.) It never
// shrinks: a start that ends under pressure lets another begin.
type pace struct {
	gauge  recover.Gauge
	places int
	step   int
	most   int

	last recover.Stalls
	at   time.Time
}

const (
	// paceEvery is how often those who wait are thought of.
	paceEvery = 100 * time.Millisecond
	// Shares of a time in which some task waited, above which the host suffers.
	memoryLimit, ioLimit = 0.10, 0.40
)

func newPace(p recover.Policy, gauge recover.Gauge) *pace {
	least := max(1, min(p.MinParallel, p.MaxParallel))
	c := &pace{gauge: gauge, places: least, step: least, most: p.MaxParallel, at: time.Now()}
	var err error
	if c.last, err = gauge.Stalls(); err != nil { // a kernel that does not tell: no need to go on asking
		c.most = c.places
	}
	return c
}

// full reports whether it could still grow.
func (c *pace) full() bool { return c.places >= c.most }

// grow gives more places if the host has not suffered since the last time.
func (c *pace) grow() {
	now, err := c.gauge.Stalls()
	if err != nil {
		return
	}
	passed := time.Since(c.at)
	share := func(now, last time.Duration) float64 { return float64(now-last) / float64(passed) }
	suffers := share(now.Memory, c.last.Memory) > memoryLimit || share(now.IO, c.last.IO) > ioLimit
	c.last, c.at = now, time.Now()
	if !suffers {
		c.places = min(c.most, c.places+c.step)
	}
}

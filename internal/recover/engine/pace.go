package engine

import (
	"time"

	"archy-recovery/internal/recover"
)

// A pace is how many starts go on side by side. It begins with MinParallel. While
// rows wait for a place it grows, up to MaxParallel, as long as the host is under
// little pressure. Starts that only wait for something cost nothing. Starts that
// compete for memory or disk all take longer, the more there are. (Those that
// compete for the CPU alone take no longer as a whole.) It never shrinks: a start
// that ends under pressure lets another begin.
type pace struct {
	gauge  recover.Gauge
	places int
	step   int
	most   int

	last recover.Stalls
	at   time.Time
}

const (
	// paceEvery is how often the pace may grow while rows wait.
	paceEvery = 100 * time.Millisecond
	// Shares of a time in which some task waited, above which the host is under pressure.
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

// grow adds places if the host was under little pressure since the last time.
func (c *pace) grow() {
	now, err := c.gauge.Stalls()
	if err != nil {
		return
	}
	passed := time.Since(c.at)
	share := func(now, last time.Duration) float64 { return float64(now-last) / float64(passed) }
	pressed := share(now.Memory, c.last.Memory) > memoryLimit || share(now.IO, c.last.IO) > ioLimit
	c.last, c.at = now, time.Now()
	if !pressed {
		c.places = min(c.most, c.places+c.step)
	}
}

package timeline

import (
	"slices"
	"time"
)

// A scale maps the time since the recovery's start to a place on the axis. It
// is linear but for breaks: a container that hangs for minutes would squeeze
// everything else into one pixel, so a long time in which nothing changes takes
// a fixed width, marked as such.
type scale struct {
	x0, x1   float64
	end      time.Duration
	breaks   []pause // in order
	perSpan  float64 // pixels a nanosecond outside of breaks
	breakAge float64 // pixels of a break
}

// A pause is a time in which nothing changes.
type pause struct{ from, to time.Duration }

func (p pause) length() time.Duration { return p.to - p.from }

const (
	// shortest is what is worth a break at all.
	shortest = 15 * time.Second
	// breakWidth is what a break takes of the axis.
	breakWidth = 58
	// edge is what is drawn of the time around a break, as a share of its time.
	edge = 40
	// maxBreaks keeps the breaks from using up the axis.
	maxBreaks = 6
)

// newScale makes a scale from x0 to x1 for the times at which something
// happens. The axis begins at 0 and ends a little after the last of them.
func newScale(x0, x1 float64, events []time.Duration) scale {
	slices.Sort(events)
	last := time.Duration(0)
	for _, e := range events {
		last = max(last, e)
	}
	s := scale{x0: x0, x1: x1, breakAge: breakWidth}
	s.breaks = findBreaks(events, last)
	s.end = max(last+s.shown(last)/25, last+time.Millisecond)
	room := x1 - x0 - float64(len(s.breaks))*s.breakAge
	s.perSpan = room / float64(s.shown(s.end))
	return s
}

// shown is how much of the time until end is outside of breaks.
func (s scale) shown(end time.Duration) time.Duration {
	for _, b := range s.breaks {
		end -= b.length()
	}
	return end
}

// findBreaks finds the times that are long compared to all the rest.
func findBreaks(events []time.Duration, last time.Duration) (breaks []pause) {
	var quiet []pause
	before := time.Duration(0)
	for _, e := range events {
		if e > before {
			quiet = append(quiet, pause{before, e})
			before = e
		}
	}
	slices.SortFunc(quiet, func(a, b pause) int { return int(min(max(b.length()-a.length(), -1), 1)) })
	rest := last
	for _, q := range quiet {
		if len(breaks) == maxBreaks || q.length() < shortest || q.length() < rest/4 {
			break
		}
		rest -= q.length()
		breaks = append(breaks, q)
	}
	// A little on both sides stays, so that a bar is seen to go into a break.
	for i := range breaks {
		margin := min(max(rest, time.Second)/edge, breaks[i].length()/4)
		breaks[i].from += margin
		breaks[i].to -= margin
	}
	slices.SortFunc(breaks, func(a, b pause) int { return int(min(max(a.from-b.from, -1), 1)) })
	return breaks
}

// at is the place of a time, within the axis whatever the time.
func (s scale) at(d time.Duration) float64 {
	d = min(max(d, 0), s.end)
	x, from := s.x0, time.Duration(0)
	for _, b := range s.breaks {
		if d <= b.from {
			break
		}
		x += float64(b.from-from) * s.perSpan
		if d < b.to {
			return x + s.breakAge*float64(d-b.from)/float64(b.length())
		}
		x, from = x+s.breakAge, b.to
	}
	return min(x+float64(d-from)*s.perSpan, s.x1)
}

// broken reports whether a time lies in a break, or so near that a label there
// would run into it.
func (s scale) broken(d time.Duration) bool {
	const near = 22
	for _, b := range s.breaks {
		if x := s.at(d); x > s.at(b.from)-near && x < s.at(b.to)+near {
			return true
		}
	}
	return false
}

// ticks are the times to label: round ones, at least apart pixels from each
// other, and not in breaks.
func (s scale) ticks(apart float64) (ticks []time.Duration) {
	step := s.step(apart)
	for d := time.Duration(0); d <= s.end; d += step {
		for _, b := range s.breaks {
			if d > b.from && d < b.to { // to the first round time after it
				d = max(d, (b.to+step-1)/step*step)
			}
		}
		if d <= s.end && (d == 0 || !s.broken(d)) {
			ticks = append(ticks, d)
		}
	}
	return ticks
}

// step is the smallest round time that is at least apart pixels long.
func (s scale) step(apart float64) time.Duration {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		size  time.Duration
		times []time.Duration
	}{
		{time.Millisecond, []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500}},
		{time.Second, []time.Duration{1, 2, 5, 10, 15, 30}},
		{time.Minute, []time.Duration{1, 2, 5, 10, 15, 30}},
		{time.Hour, []time.Duration{1, 2, 6, 12}},
	} {
		for _, n := range unit.times {
			if float64(n*unit.size)*s.perSpan >= apart {
				return n * unit.size
			}
		}
	}
	step := day
	for float64(step)*s.perSpan < apart {
		step *= 2
	}
	return step
}

package timeline

import (
	"slices"
	"time"
)

// A scale maps the time since the recovery's start to a place on the time axis,
// in pixels. It is linear except for breaks. Without them, a container that
// hangs for minutes would squeeze all others into one pixel. So a long time in
// which nothing changes gets a fixed width, and is marked as a break.
type scale struct {
	from, to    float64 // the ends of the axis
	end         time.Duration
	breaks      []timeBreak // in order
	pixelsPerNs float64     // outside of breaks
}

// A timeBreak is a time in which nothing changes.
type timeBreak struct{ from, to time.Duration }

func (b timeBreak) length() time.Duration { return b.to - b.from }

const (
	minBreak   = 15 * time.Second // a shorter time is not worth a break
	breakWidth = 58.0             // pixels of a break
	maxBreaks  = 6                // more would use up the axis
	// breakEdge is what is drawn linearly on each side of a break, as a
	// fraction of the time outside of breaks: 1/40.
	breakEdge = 40
)

// newScale returns a scale for the times at which something changes. The axis
// goes from 0 to a little after the last of them.
func newScale(from, to float64, changes []time.Duration) scale {
	slices.Sort(changes)
	last := time.Duration(0)
	for _, c := range changes {
		last = max(last, c)
	}
	s := scale{from: from, to: to, breaks: findBreaks(changes, last)}
	s.end = max(last+s.linear(last)/25, last+time.Millisecond)
	pixels := to - from - float64(len(s.breaks))*breakWidth
	s.pixelsPerNs = pixels / float64(s.linear(s.end))
	return s
}

// linear returns how much of the time until end is outside of breaks.
func (s scale) linear(end time.Duration) time.Duration {
	for _, b := range s.breaks {
		end -= b.length()
	}
	return end
}

// findBreaks returns the times without a change that are long compared to the
// rest.
func findBreaks(changes []time.Duration, last time.Duration) (breaks []timeBreak) {
	var quiet []timeBreak
	before := time.Duration(0)
	for _, c := range changes {
		if c > before {
			quiet = append(quiet, timeBreak{before, c})
			before = c
		}
	}
	slices.SortFunc(quiet, func(a, b timeBreak) int { return int(min(max(b.length()-a.length(), -1), 1)) })
	rest := last
	for _, q := range quiet {
		if len(breaks) == maxBreaks || q.length() < minBreak || q.length() < rest/4 {
			break
		}
		rest -= q.length()
		breaks = append(breaks, q)
	}
	// Each break gives up a little on both sides, so that bars are seen to run
	// into it.
	for i := range breaks {
		edge := min(max(rest, time.Second)/breakEdge, breaks[i].length()/4)
		breaks[i].from += edge
		breaks[i].to -= edge
	}
	slices.SortFunc(breaks, func(a, b timeBreak) int { return int(min(max(a.from-b.from, -1), 1)) })
	return breaks
}

// at returns the place of a time. A time outside of the axis is at its nearer
// end.
func (s scale) at(d time.Duration) float64 {
	d = min(max(d, 0), s.end)
	x, from := s.from, time.Duration(0)
	for _, b := range s.breaks {
		if d <= b.from {
			break
		}
		x += float64(b.from-from) * s.pixelsPerNs
		if d < b.to {
			return x + breakWidth*float64(d-b.from)/float64(b.length())
		}
		x, from = x+breakWidth, b.to
	}
	return min(x+float64(d-from)*s.pixelsPerNs, s.to)
}

// nearBreak reports whether a time is in a break, or so near that its label
// would run into the break's.
func (s scale) nearBreak(d time.Duration) bool {
	const near = 22
	for _, b := range s.breaks {
		if x := s.at(d); x > s.at(b.from)-near && x < s.at(b.to)+near {
			return true
		}
	}
	return false
}

// ticks returns the times to label: round ones outside of breaks, at least
// distance pixels from each other.
func (s scale) ticks(distance float64) (ticks []time.Duration) {
	step := s.step(distance)
	for d := time.Duration(0); d <= s.end; d += step {
		for _, b := range s.breaks {
			if d > b.from && d < b.to { // go on at the first round time after the break
				d = max(d, (b.to+step-1)/step*step)
			}
		}
		if d <= s.end && (d == 0 || !s.nearBreak(d)) {
			ticks = append(ticks, d)
		}
	}
	return ticks
}

// step returns the smallest round time that is at least distance pixels long.
func (s scale) step(distance float64) time.Duration {
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
			if float64(n*unit.size)*s.pixelsPerNs >= distance {
				return n * unit.size
			}
		}
	}
	step := day
	for float64(step)*s.pixelsPerNs < distance {
		step *= 2
	}
	return step
}

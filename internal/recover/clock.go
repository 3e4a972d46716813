package recover

import (
	"fmt"
	"slices"
	"time"
)

const (
	// clockJitter is how far apart the two clocks may run without a step that matters.
	clockJitter = 50 * time.Millisecond
	// clockStep is the least step that a note is worth.
	clockStep = 5 * time.Second
)

// Stepped returns by how much the wall clock was set between two moments of this process,
// positive if forward. A moment that was read from a file has no monotonic clock: then
// it is 0.
func Stepped(from, to time.Time) time.Duration {
	if from == from.Round(0) || to == to.Round(0) { //nolint:staticcheck // == tells whether it has the monotonic clock
		return 0
	}
	return to.Round(0).Sub(from.Round(0)) - to.Sub(from)
}

// ByClockOf returns the report with all of its moments by the wall clock of now. A host
// without a clock battery begins years in the past, and its clock is set while recovery
// is under way, or later. notSet: the clock was behind a moment of an earlier boot when
// the recovery began.
func (r Report) ByClockOf(now time.Time, notSet bool) Report {
	step := Stepped(r.Started, now)
	switch by := step.Abs().Round(time.Second); {
	case step >= clockStep:
		r.Notes = append(slices.Clip(r.Notes),
			fmt.Sprintf("the clock was set forward by %s since the recovery began; the times here are corrected", by))
	case step <= -clockStep:
		r.Notes = append(slices.Clip(r.Notes),
			fmt.Sprintf("the clock was set back by %s since the recovery began; the times here are corrected", by))
	case notSet:
		r.Notes = append(slices.Clip(r.Notes), "the clock was not set yet: it is behind what an earlier boot wrote down, "+
			"so the times here are too early; how long things took is right")
	}
	if step.Abs() < clockJitter {
		return r
	}
	correct := func(at *time.Time) {
		if step := Stepped(*at, now); step.Abs() >= clockJitter {
			*at = now.Add(-now.Sub(*at))
		}
	}
	r.Rows = slices.Clone(r.Rows)
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Attempts, row.Waits = slices.Clone(row.Attempts), slices.Clone(row.Waits)
		correct(&row.Queued)
		for n := range row.Attempts {
			a := &row.Attempts[n]
			correct(&a.Started)
			correct(&a.Ended)
			correct(&a.Done)
			correct(&a.Healthy)
			if a.Fell != nil {
				fell := *a.Fell
				correct(&fell.At)
				a.Fell = &fell
			}
		}
		if row.Retry != nil {
			retry := *row.Retry
			correct(&retry.Next)
			row.Retry = &retry
		}
		for n := range row.Waits {
			correct(&row.Waits[n].Began)
			correct(&row.Waits[n].Ended)
		}
	}
	correct(&r.Finished)
	correct(&r.Started)
	return r
}

package recover

import (
	"slices"
	"time"
)

// Expectations say how long the start of a container may take, from how long
// it took before: by name, the starts that ended well, oldest first.
type Expectations map[string][]time.Duration

// rememberStarts is how many of the last starts count: an old one says little
// about a container that has grown since.
const rememberStarts = 9

// Expect learns from the history, oldest first.
func Expect(history []Report) Expectations {
	e := Expectations{}
	for _, report := range history {
		for _, row := range report.Rows {
			took, from := row.Took(), row.Started()
			last := row.LastAttempt()
			if last != nil && row.Retry != nil && row.Retry.Tries > 0 { // not the hours in which something was missing
				took, from = last.Ended.Sub(last.Started), last.Started
			}
			if last != nil && !last.Healthy.IsZero() {
				took = last.Healthy.Sub(from) // others wait as long
			}
			if row.State != RowUp || took <= 0 { // a clock was set back meanwhile
				continue
			}
			e[row.Name] = append(e[row.Name], took)
		}
	}
	for name, took := range e {
		e[name] = took[max(0, len(took)-rememberStarts):]
	}
	return e
}

// Start is the median of a container's earlier starts, from the first attempt
// to the end of the one that brought it up, or until it was healthy; false where there is none. The
// median, since a start right after a crash may take ten times as long, and
// that should not be expected from then on.
func (e Expectations) Start(name string) (time.Duration, bool) {
	took := slices.Sorted(slices.Values(e[name]))
	n := len(took)
	if n == 0 {
		return 0, false
	}
	return (took[(n-1)/2] + took[n/2]) / 2, true
}

// Tier is how long containers take that start side by side: as long as the
// slowest, whose name it returns. unknown counts those that never started.
func (e Expectations) Tier(names []string) (took time.Duration, slowest string, unknown int) {
	for _, name := range names {
		d, known := e.Start(name)
		switch {
		case !known:
			unknown++
		case d > took:
			took, slowest = d, name
		}
	}
	return took, slowest, unknown
}

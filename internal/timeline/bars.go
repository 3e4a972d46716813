package timeline

import (
	"time"

	"archy-recovery/internal/recover"
)

// A kind is what a container does in a part of its bar. It names the CSS class
// and stands in the legend.
type kind string

const (
	queued   kind = "queued"
	starting kind = "starting"
	ready    kind = "ready"
	failed   kind = "failed"
	retry    kind = "pause"
	waiting  kind = "waiting"
	other    kind = "ended" // an attempt that ended neither up nor failed: skipped, deferred
)

// legend says what each kind means, in the order in which they come.
var legend = []struct {
	kind kind
	text string
}{
	{queued, "waits for its turn"},
	{starting, "starting"},
	{ready, "up"},
	{failed, "failed attempt"},
	{retry, "pause before the retry"},
	{waiting, "waits for a mount or another container"},
	{other, "skipped or deferred"},
}

// A segment is a part of a bar.
type segment struct {
	kind     kind
	from, to time.Time
	why      string
}

// segments are the parts of a row's bar. What is not over at the end goes on
// to it; a container that is up goes on to forever.
func segments(row recover.Row, end, forever time.Time) (parts []segment) {
	add := func(k kind, from, to time.Time, why string) {
		if !from.IsZero() {
			parts = append(parts, segment{k, from, to, why})
		}
	}
	// idle is a time without a start: k, but for when it waited.
	idle := func(k kind, from, to time.Time, why string) {
		if from.IsZero() {
			return
		}
		for _, w := range row.Waits {
			if w.Began.Before(from) || !w.Began.Before(to) {
				continue
			}
			until := to
			if !w.Ended.IsZero() && w.Ended.Before(to) {
				until = w.Ended
			}
			if w.Began.After(from) {
				add(k, from, w.Began, "")
			}
			add(waiting, w.Began, until, why)
			from = until
		}
		if from.Before(to) {
			add(k, from, to, why)
		}
	}
	if len(row.Attempts) == 0 {
		if n := len(row.Waits); n > 0 && !row.State.Pending() {
			end = row.Waits[n-1].Ended // given up: nothing follows
		}
		idle(queued, row.Queued, end, row.Error)
		return parts
	}
	idle(queued, row.Queued, row.Started(), "")
	for i, a := range row.Attempts {
		last := i == len(row.Attempts)-1
		if a.Ended.IsZero() {
			add(starting, a.Started, end, "")
			continue
		}
		k := failed
		switch {
		case last && row.State == recover.RowUp:
			k = starting
		case last && (row.State == recover.RowSkipped || row.State == recover.RowDeferred || row.State == recover.RowUserStopped):
			k = other
		}
		add(k, a.Started, a.Ended, a.Error)
		switch {
		case !last:
			idle(retry, a.Ended, row.Attempts[i+1].Started, "")
		case row.State == recover.RowUp:
			add(ready, a.Ended, forever, "")
		case row.State.Pending():
			idle(retry, a.Ended, end, row.Error)
		}
	}
	return parts
}

// drawn reports whether a row has, or is still to have, a bar.
func drawn(row recover.Row) bool {
	return len(row.Attempts) > 0 || !row.Queued.IsZero() || row.State.Pending()
}

// lastMoment is when the report ends: READY, or for one that is not finished
// the last thing that it tells of, or now if that is later.
func lastMoment(r recover.Report, now time.Time) time.Time {
	if !r.Finished.IsZero() {
		return r.Finished
	}
	last := r.Started
	if now.After(last) {
		last = now
	}
	for _, row := range r.Rows {
		for _, t := range times(row) {
			if t.After(last) {
				last = t
			}
		}
	}
	return last
}

// times are all the times that a row tells of.
func times(row recover.Row) (all []time.Time) {
	add := func(t time.Time) {
		if !t.IsZero() {
			all = append(all, t)
		}
	}
	add(row.Queued)
	for _, a := range row.Attempts {
		add(a.Started)
		add(a.Ended)
	}
	for _, w := range row.Waits {
		add(w.Began)
		add(w.Ended)
	}
	return all
}

// A band is a tier, or the containers that were started alone.
type band struct {
	title string
	rows  []recover.Row
}

// bands puts the rows that have bars into bands, in the report's order.
func bands(rows []recover.Row) (all []band) {
	for _, row := range rows {
		if !drawn(row) {
			continue
		}
		title := "alone"
		if !row.Alone {
			title = "tier " + itoa(row.Tier)
		}
		if n := len(all); n == 0 || all[n-1].title != title {
			all = append(all, band{title: title})
		}
		b := &all[len(all)-1]
		b.rows = append(b.rows, row)
	}
	return all
}

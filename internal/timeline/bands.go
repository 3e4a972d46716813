package timeline

import (
	"strconv"
	"time"

	"archy-recovery/internal/recover"
)

// A band is a tier, or the containers that were started alone.
type band struct {
	title string
	rows  []recover.Row
}

// bands puts the rows that have bars into bands, in the report's order.
func bands(rows []recover.Row) (all []band) {
	for _, row := range rows {
		if !hasBar(row) {
			continue
		}
		title := "alone"
		if !row.Alone {
			title = "tier " + strconv.Itoa(row.Tier)
		}
		if n := len(all); n == 0 || all[n-1].title != title {
			all = append(all, band{title: title})
		}
		b := &all[len(all)-1]
		b.rows = append(b.rows, row)
	}
	return all
}

// hasBar reports whether a row has a bar, or a place for one that is to come.
func hasBar(row recover.Row) bool {
	return len(row.Attempts) > 0 || !row.Queued.IsZero() || row.State.Pending()
}

// endOf returns when a report ends: at READY, or, if it is not finished, at now
// or its last event, whichever is later.
func endOf(r recover.Report, now time.Time) time.Time {
	if !r.Finished.IsZero() {
		return r.Finished
	}
	last := r.Started
	if now.After(last) {
		last = now
	}
	for _, row := range r.Rows {
		for _, t := range events(row) {
			if t.After(last) {
				last = t
			}
		}
	}
	return last
}

// events returns the times at which something happened to a row.
func events(row recover.Row) (all []time.Time) {
	add := func(t time.Time) {
		if !t.IsZero() {
			all = append(all, t)
		}
	}
	add(row.Queued)
	for _, a := range row.Attempts {
		add(a.Started)
		add(a.Ended)
		if a.Fell != nil {
			add(a.Fell.At)
		}
		add(a.Done)
	}
	for _, w := range row.Waits {
		add(w.Began)
		add(w.Ended)
	}
	return all
}

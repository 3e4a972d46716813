package timeline

import (
	"time"

	"archy-recovery/internal/recover"
)

// A kind is what a container does during a segment of its bar. The kind is also
// the segment's CSS class.
type kind string

const (
	kindQueued   kind = "queued"
	kindStarting kind = "starting"
	kindUp       kind = "ready"
	kindFailed   kind = "failed"
	kindPause    kind = "pause" // between two attempts
	kindWaiting  kind = "waiting"
	kindOther    kind = "ended" // an attempt that neither succeeded nor failed: skipped, deferred
)

// kindTexts has the legend's text for each kind, in the legend's order.
var kindTexts = []struct {
	kind kind
	text string
}{
	{kindQueued, "waits for its turn"},
	{kindStarting, "starting"},
	{kindUp, "up"},
	{kindFailed, "failed attempt"},
	{kindPause, "pause before the retry"},
	{kindWaiting, "waits for a mount or another container"},
	{kindOther, "skipped or deferred"},
}

// A segment is a part of a bar.
type segment struct {
	kind     kind
	from, to time.Time
	why      string
}

// segments returns the segments of a row's bar. What is still under way ends at
// end. A container that is up stays so until plotEnd, the end of the time axis.
func segments(row recover.Row, end, plotEnd time.Time) (parts []segment) {
	add := func(k kind, from, to time.Time, why string) {
		if !from.IsZero() {
			parts = append(parts, segment{k, from, to, why})
		}
	}
	// addIdle adds a time without an attempt: of kind k, except for the row's
	// waits in it.
	addIdle := func(k kind, from, to time.Time, why string) {
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
			add(kindWaiting, w.Began, until, why)
			from = until
		}
		if from.Before(to) {
			add(k, from, to, why)
		}
	}
	if len(row.Attempts) == 0 {
		if n := len(row.Waits); n > 0 && !row.State.Pending() {
			end = row.Waits[n-1].Ended // recovery gave up then
		}
		addIdle(kindQueued, row.Queued, end, row.Error)
		return parts
	}
	addIdle(kindQueued, row.Queued, row.Started(), "")
	for i, a := range row.Attempts {
		last := i == len(row.Attempts)-1
		if a.Ended.IsZero() {
			add(kindStarting, a.Started, end, "")
			continue
		}
		k := kindFailed
		if last {
			k = lastKind(row.State)
		}
		add(k, a.Started, a.Ended, a.Error)
		switch {
		case !last:
			addIdle(kindPause, a.Ended, row.Attempts[i+1].Started, "")
		case row.State == recover.RowUp:
			add(kindUp, a.Ended, plotEnd, "")
		case row.State.Pending():
			addIdle(kindPause, a.Ended, end, row.Error)
		}
	}
	return parts
}

// lastKind is the kind of a row's last attempt, which has ended.
func lastKind(s recover.RowState) kind {
	switch s {
	case recover.RowUp:
		return kindStarting
	case recover.RowSkipped, recover.RowDeferred, recover.RowUserStopped:
		return kindOther
	}
	return kindFailed
}

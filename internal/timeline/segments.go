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

	kindRestarting kind = "restarting" // systemd or podman starts it again
	// These are marks: they have no length.
	kindFell      kind = "fell"
	kindRestarted kind = "restarted" // and was up again
	kindDone      kind = "done"      // of a job
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
	{kindWaiting, "waits for a mount, another container or the network"},
	{kindOther, "skipped or deferred"},
	{kindRestarting, "restarts"},
	{kindRestarted, "was restarted"},
	{kindFell, "fell"},
	{kindDone, "job done"},
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
		if n := len(row.Waits); n > 0 && !row.Waits[n-1].Ended.IsZero() && !row.State.Pending() {
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
		switch {
		case a.Fell != nil:
			k = kindStarting
		case last:
			k = lastKind(row.State)
		}
		add(k, a.Started, a.Ended, a.Error)
		ended := a.Ended
		if a.Fell != nil || !a.Done.IsZero() || last && row.State == recover.RowUp {
			var lived []segment
			lived, ended = life(row, a, last, plotEnd)
			parts = append(parts, lived...)
		}
		switch {
		case !last:
			addIdle(kindPause, ended, row.Attempts[i+1].Started, "")
		case row.State.Pending() || row.State == recover.RowNoNetwork:
			addIdle(kindPause, ended, end, row.Error)
		}
	}
	return parts
}

// life returns what became of a container that an attempt brought up, and when it
// ended.
func life(row recover.Row, a recover.Attempt, last bool, plotEnd time.Time) (parts []segment, ended time.Time) {
	add := func(k kind, from, to time.Time, why string) { parts = append(parts, segment{k, from, to, why}) }
	switch state := row.State; {
	case a.Fell == nil && a.Done.IsZero():
		add(kindUp, a.Ended, plotEnd, "")
	case a.Fell == nil:
		add(kindUp, a.Ended, a.Done, "")
	case last && state == recover.RowRestarting:
		add(kindUp, a.Ended, a.Fell.At, "")
		add(kindRestarting, a.Fell.At, plotEnd, row.Error)
	case last && (state == recover.RowUp || state == recover.RowDone || state == recover.RowUserStopped):
		until := plotEnd
		if state != recover.RowUp {
			until = latest(a.Fell.At, a.Done)
		}
		add(kindUp, a.Ended, until, "")
		add(kindRestarted, a.Fell.At, a.Fell.At, a.Fell.Sentence(a.Ended))
	default:
		k := kindUp
		if last && row.Restarts > 0 {
			k = kindRestarting
		}
		if a.Fell.At.After(a.Ended) { // a job can fail while it is starting
			add(k, a.Ended, a.Fell.At, "")
		}
		add(kindFell, a.Fell.At, a.Fell.At, a.Error)
		return parts, a.Fell.At
	}
	if !a.Done.IsZero() {
		add(kindDone, a.Done, a.Done, "")
	}
	return parts, latest(a.Ended, a.Done)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lastKind is the kind of a row's last attempt, which has ended.
func lastKind(s recover.RowState) kind {
	switch s {
	case recover.RowUp, recover.RowDone:
		return kindStarting
	case recover.RowSkipped, recover.RowDeferred, recover.RowUserStopped, recover.RowNeedsStopped:
		return kindOther
	}
	return kindFailed
}

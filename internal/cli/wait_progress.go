package cli

import (
	"fmt"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"
)

// A stage is a tier of a recovery that goes on, or those that start alone.
type stage struct {
	name string
	rows []recover.Row
}

// stages are those that have something to start, in order.
func stages(rows []recover.Row) (all []stage) {
	for _, row := range rows {
		if len(row.Attempts) == 0 && !row.State.Pending() && row.Queued.IsZero() {
			continue // it was never to be started
		}
		name := "alone"
		if !row.Alone {
			name = fmt.Sprintf("tier %d", row.Tier)
		}
		if n := len(all); n == 0 || all[n-1].name != name {
			all = append(all, stage{name: name})
		}
		s := &all[len(all)-1]
		s.rows = append(s.rows, row)
	}
	return all
}

// progressLines is the display of wait: a line for the whole and one a tier,
// with how long it has taken and, from the history, may take.
func progressLines(st control.Status, expect recover.Expectations, now time.Time) []line {
	head := line{{string(st.State), bold}}
	if !st.Started.IsZero() {
		end, word := now, " for "
		if !st.Finished.IsZero() {
			end, word = st.Finished, " after "
		}
		head = append(head, part{word + elapsed(end.Sub(st.Started)), plain})
	}
	if st.Verdict.Ending != "" {
		why := ", after " + timeline.Ending(st.Verdict.Ending)
		if st.Verdict.Cause != "" {
			why += ": " + strings.ReplaceAll(string(st.Verdict.Cause), "-", " ")
		}
		head = append(head, part{why, dim})
	}
	lines := []line{head}
	all := stages(st.Containers)
	for _, s := range all {
		lines = append(lines, s.line(expect, now))
	}
	align(lines[1:])
	return lines
}

// align pads the times, which are the third part, to one width.
func align(lines []line) {
	const time = 2
	widest := 0
	for _, l := range lines {
		widest = max(widest, len([]rune(l[time].text)))
	}
	for _, l := range lines {
		l[time].text += strings.Repeat(" ", widest-len([]rune(l[time].text))+2)
	}
}

// line tells of a stage: a mark, how many of its containers are up, the time,
// and by name first those that fail, then those that are under way, then the
// rest.
func (s stage) line(expect recover.Expectations, now time.Time) line {
	var names, failing, running, waiting, done []string
	var began, ended time.Time
	up, pending := 0, 0
	for _, row := range s.rows {
		names = append(names, row.Name)
		if at := row.Queued; !at.IsZero() && (began.IsZero() || at.Before(began)) {
			began = at
		}
		if at := row.Ended(); at.After(ended) {
			ended = at
		}
		switch {
		case row.State == recover.RowUp:
			up++
			done = append(done, row.Name)
		case row.State == recover.RowFailed, row.State == recover.RowRetrying:
			failing = append(failing, "✗ "+row.Name)
		case row.State == recover.RowStarting:
			running = append(running, row.Name)
		case row.State.Pending():
			waiting = append(waiting, row.Name)
		}
		if row.State.Pending() {
			pending++
		}
	}
	mark, look := "·", dim
	switch {
	case pending == 0 && len(failing) > 0:
		mark, look = "✗", red
	case pending == 0:
		mark, look = "✓", green
	case !began.IsZero():
		mark, look = "▸", bold
	}
	l := line{{mark + " ", look}, {fmt.Sprintf("%-7s %7s  ", s.name, fmt.Sprintf("%d/%d up", up, len(s.rows))), plain},
		{s.time(expect, names, began, ended, pending, now), plain}}
	add := func(names []string, look style) {
		if len(names) > 0 {
			l = append(l, part{strings.Join(names, " ") + " ", look})
		}
	}
	add(failing, red)
	add(running, plain)
	add(waiting, dim)
	add(done, dim)
	return l
}

// elapsed is a time that passes: always with one decimal, so that what stands
// beside it does not jump each second.
func elapsed(d time.Duration) string {
	d = max(0, d).Truncate(100 * time.Millisecond)
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dmin %04.1fs", d/time.Minute, (d % time.Minute).Seconds())
}

// time is how long a stage has taken, and how long it may.
func (s stage) time(expect recover.Expectations, names []string, began, ended time.Time, pending int, now time.Time) string {
	expected, _, unknown := expect.Tier(names)
	if s.name == "alone" {
		expected = 0
		for _, name := range names {
			d, _ := expect.Start(name)
			expected += d
		}
	}
	about := ""
	switch {
	case unknown == len(names):
	case unknown > 0:
		about = "at least " + timeline.Span(expected.Round(100*time.Millisecond))
	default:
		about = "about " + timeline.Span(expected.Round(100*time.Millisecond))
	}
	switch {
	case pending == 0 && !began.IsZero() && ended.After(began):
		return timeline.Span(ended.Sub(began).Round(100 * time.Millisecond))
	case pending > 0 && !began.IsZero():
		took := elapsed(now.Sub(began))
		if about != "" {
			return took + " of " + about
		}
		return took
	case pending > 0:
		return about
	}
	return ""
}

package cli

import (
	"fmt"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/timeline"
)

// progressLines is the display of wait: a line for the whole recovery, and one
// per stage with how long it has taken and is expected to take.
func progressLines(st control.Status, expectations recover.Expectations, now time.Time) []line {
	lines := []line{headLine(st, now)}
	stages := stagesOf(st.Containers)
	times := make([]string, len(stages))
	widest := 0
	for n, s := range stages {
		times[n] = s.timeText(expectations, now)
		widest = max(widest, len([]rune(times[n])))
	}
	for n, s := range stages {
		padding := strings.Repeat(" ", widest-len([]rune(times[n]))+2)
		lines = append(lines, s.line(times[n]+padding))
	}
	return lines
}

// headLine is the line for the whole recovery.
func headLine(st control.Status, now time.Time) line {
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
	return head
}

// aloneName names the stage of the containers that start one after the other.
const aloneName = "alone"

// A stage is a tier of a recovery in progress, or the containers that start alone.
type stage struct {
	name  string
	rows  int
	names []string
	// The names by what the display says of them. pending is the number of rows
	// that will still change.
	up, failing, running, waiting []string
	pending                       int
	began, ended                  time.Time
}

// stagesOf are the stages that have something to start, in order.
func stagesOf(rows []recover.Row) (stages []*stage) {
	for _, row := range rows {
		if len(row.Attempts) == 0 && !row.State.Pending() && row.Queued.IsZero() {
			continue // recovery does not start it
		}
		name := aloneName
		if !row.Alone {
			name = fmt.Sprintf("tier %d", row.Tier)
		}
		if n := len(stages); n == 0 || stages[n-1].name != name {
			stages = append(stages, &stage{name: name})
		}
		stages[len(stages)-1].add(row)
	}
	return stages
}

func (s *stage) add(row recover.Row) {
	s.rows++
	s.names = append(s.names, row.Name)
	if at := row.Queued; !at.IsZero() && (s.began.IsZero() || at.Before(s.began)) {
		s.began = at
	}
	if at := row.Ended(); at.After(s.ended) {
		s.ended = at
	}
	switch {
	case row.State == recover.RowUp, row.State == recover.RowDone:
		s.up = append(s.up, row.Name)
	case row.State == recover.RowFailed, row.State == recover.RowRetrying,
		row.State == recover.RowFell, row.State == recover.RowRestarting:
		s.failing = append(s.failing, "✗ "+row.Name)
	case row.State == recover.RowStarting:
		s.running = append(s.running, row.Name)
	case row.State.Pending():
		s.waiting = append(s.waiting, row.Name)
	}
	if row.State.Pending() {
		s.pending++
	}
}

// line shows the stage: a mark, how many of its containers are up, the time, and
// the names: first those that fail, then those that are being started.
func (s *stage) line(timeText string) line {
	mark, markStyle := "·", dim
	switch {
	case s.pending == 0 && len(s.failing) > 0:
		mark, markStyle = "✗", red
	case s.pending == 0:
		mark, markStyle = "✓", green
	case !s.began.IsZero():
		mark, markStyle = "▸", bold
	}
	l := line{
		{mark + " ", markStyle},
		{fmt.Sprintf("%-7s %7s  ", s.name, fmt.Sprintf("%d/%d up", len(s.up), s.rows)), plain},
		{timeText, plain},
	}
	for _, group := range []struct {
		names []string
		style style
	}{{s.failing, red}, {s.running, plain}, {s.waiting, dim}, {s.up, dim}} {
		if len(group.names) > 0 {
			l = append(l, part{strings.Join(group.names, " ") + " ", group.style})
		}
	}
	return l
}

// timeText is how long the stage has taken, and how long it is expected to take.
func (s *stage) timeText(expectations recover.Expectations, now time.Time) string {
	expected := s.expectedText(expectations)
	switch {
	case s.pending == 0 && !s.began.IsZero() && s.ended.After(s.began):
		return timeline.Span(s.ended.Sub(s.began).Round(100 * time.Millisecond))
	case s.pending > 0 && !s.began.IsZero() && expected != "":
		return elapsed(now.Sub(s.began)) + " of " + expected
	case s.pending > 0 && !s.began.IsZero():
		return elapsed(now.Sub(s.began))
	case s.pending > 0:
		return expected
	}
	return ""
}

// expectedText is how long the stage took in earlier recoveries, "" if that is
// unknown for all of its containers.
func (s *stage) expectedText(expectations recover.Expectations) string {
	expected, _, unknown := expectations.Tier(s.names)
	if s.name == aloneName { // one after the other
		expected = 0
		for _, name := range s.names {
			d, _ := expectations.Start(name)
			expected += d
		}
	}
	text := timeline.Span(expected.Round(100 * time.Millisecond))
	switch {
	case unknown == len(s.names):
		return ""
	case unknown > 0:
		return "at least " + text
	}
	return "about " + text
}

// elapsed formats a time that passes. It always has one decimal, so that the text
// beside it keeps its place.
func elapsed(d time.Duration) string {
	d = max(0, d).Truncate(100 * time.Millisecond)
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dmin %04.1fs", d/time.Minute, (d % time.Minute).Seconds())
}

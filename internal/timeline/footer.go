package timeline

import (
	"fmt"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// footer lists what the bars do not show: why containers failed, which were not
// started, and the notes.
func (p *picture) footer() {
	const size, line, indent = 11.5, 16.0, 140.0
	letters := maxLetters(width-2*margin-indent, size)
	p.y += 12
	list := func(head, class string, lines []string) {
		for i, text := range lines {
			p.y += line
			if i == 0 {
				p.text(margin, p.y, size, class, shorten(head, maxLetters(indent-8, size)))
			}
			p.text(margin+indent, p.y, size, "d", text)
		}
		if len(lines) > 0 {
			p.y += 3
		}
	}
	for _, row := range p.report.Rows {
		if !hasLines(row) {
			continue
		}
		name := shortenMiddle(row.Name, maxLetters(indent-8, size)-2)
		lines := wrapText(row.Error, letters)
		if last := row.LastAttempt(); last != nil && last.Why != nil {
			for _, text := range explanation(*last.Why) {
				lines = append(lines, wrapText(text, letters)...)
			}
		}
		list("✗ "+name, "bad b", lines)
	}
	for _, group := range notStarted(p.report.Rows) {
		head := fmt.Sprintf("%s (%d)", stateLabel(group.state), len(group.names))
		list(head, "t b", wrap(group.names, letters, 4))
	}
	if partial := startedWithout(p.report.Rows); len(partial) > 0 {
		list(fmt.Sprintf("started without (%d)", len(partial)), "t b", wrap(partial, letters, 4))
	}
	for i, note := range p.report.Notes {
		head := ""
		if i == 0 {
			head = "notes"
		}
		list(head, "t b", wrapText(note, letters))
	}
}

// hasLines reports whether a row has lines of its own below the bars: why it failed.
func hasLines(row recover.Row) bool {
	switch row.State {
	case recover.RowFailed, recover.RowFell, recover.RowRestarting:
		return row.Error != ""
	}
	return false
}

// stateLabel is the label of a state whose rows have no bar.
func stateLabel(s recover.RowState) string {
	switch s {
	case recover.RowActive:
		return "ran already"
	case recover.RowMissing:
		return "not found"
	case recover.RowHeld:
		return "held back"
	}
	return string(s)
}

// startedWithout names the containers that were started without ones that the user stopped,
// and these.
func startedWithout(rows []recover.Row) (names []string) {
	for _, row := range rows {
		if row.WithoutStopped() != "" && len(row.Attempts) > 0 {
			names = append(names, fmt.Sprintf("%s (without %s)", row.Name, strings.Join(row.Stopped, ", ")))
		}
	}
	return names
}

// A group is the names of the containers of one state.
type group struct {
	state recover.RowState
	names []string
}

// notStarted groups the rows without a bar by their state. It leaves out those that
// have lines of their own.
func notStarted(rows []recover.Row) (groups []group) {
	for _, row := range rows {
		if hasBar(row) || hasLines(row) {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.state == row.State })
		if i < 0 {
			groups = append(groups, group{state: row.State})
			i = len(groups) - 1
		}
		name := row.Name
		if row.State == recover.RowNeedsStopped {
			name += " (needs " + strings.Join(row.Stopped, ", ") + ")"
		}
		groups[i].names = append(groups[i].names, name)
	}
	return groups
}

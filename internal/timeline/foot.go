package timeline

import (
	"fmt"
	"slices"

	"archy-recovery/internal/recover"
)

// foot lists what the bars cannot say: why containers failed, who was not
// started, and the notes.
func (p *picture) foot() {
	const size, line, indent = 11.5, 16.0, 140.0
	room := fits(width-2*margin-indent, size)
	p.y += 12
	list := func(head, class string, lines []string) {
		for i, text := range lines {
			p.y += line
			if i == 0 {
				p.text(margin, p.y, size, class, cut(head, fits(indent-8, size)))
			}
			p.text(margin+indent, p.y, size, "d", text)
		}
		if len(lines) > 0 {
			p.y += 3
		}
	}
	for _, row := range p.report.Rows {
		if row.State == recover.RowFailed && row.Error != "" {
			list("✗ "+cutMiddle(row.Name, fits(indent-8, size)-2), "bad b", wrapText(row.Error, room))
		}
	}
	for _, group := range notStarted(p.report.Rows) {
		list(fmt.Sprintf("%s (%d)", word(group.state), len(group.names)), "t b", wrap(group.names, room, 4))
	}
	for i, note := range p.report.Notes {
		head := ""
		if i == 0 {
			head = "notes"
		}
		list(head, "t b", wrapText(note, room))
	}
}

// word is a state that never had a bar, in words.
func word(s recover.RowState) string {
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

// A group is the containers of one state.
type group struct {
	state recover.RowState
	names []string
}

// notStarted groups the rows that have no bar by why they have none. The
// failed among them have a line of their own already.
func notStarted(rows []recover.Row) (groups []group) {
	for _, row := range rows {
		if drawn(row) || row.State == recover.RowFailed && row.Error != "" {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.state == row.State })
		if i < 0 {
			groups = append(groups, group{state: row.State})
			i = len(groups) - 1
		}
		groups[i].names = append(groups[i].names, row.Name)
	}
	return groups
}

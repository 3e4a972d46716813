package cli

import (
	"fmt"
	"io"
	"strings"
)

// A table is text in columns that fits the terminal. If it is too wide, the
// columns that may be cut are cut, the widest first. If that is not enough,
// columns that may be dropped are dropped. Empty columns are not printed.
type table struct {
	columns []column
	rows    [][]string
}

// A column of a table.
type column struct {
	head  string
	right bool // aligned to the right
	least int  // the letters to which it may be cut; 0: it is never cut
	drop  int  // the column with the highest is dropped first; 0: it is never dropped
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	t.rows = append(t.rows, cells)
}

// printTo writes the table with its head.
func (t *table) printTo(w io.Writer, width int) {
	for _, l := range t.lines(width) {
		fmt.Fprintln(w, l)
	}
}

// gap is the number of spaces between two columns.
const gap = 2

// widths are those of the columns without a limit, 0 for an empty column. total
// is the width of the table.
func (t *table) widths() (widths []int, total int) {
	widths = make([]int, len(t.columns))
	total = -gap
	for i, c := range t.columns {
		for _, row := range t.rows {
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
		if widths[i] > 0 {
			widths[i] = max(widths[i], len(c.head))
			total += widths[i] + gap
		}
	}
	return widths, total
}

// fits reports whether the table needs no cut.
func (t *table) fits(width int) bool {
	_, total := t.widths()
	return width <= 0 || total <= width
}

// lines lays the table out, the head first. A width of 0 is unlimited.
func (t *table) lines(width int) []string {
	widths, total := t.widths()
	if width > 0 {
		total = t.dropColumns(widths, total, width)
		t.cutColumns(widths, total, width)
	}
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = c.head
	}
	lines := []string{t.line(heads, widths, width)}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths, width))
	}
	return lines
}

// dropColumns sets the widths of dropped columns to 0, until the others fit when
// they are cut, or none may be dropped. It returns the new total.
func (t *table) dropColumns(widths []int, total, width int) int {
	for {
		least := -gap // the width of the table when all columns are cut
		next := -1    // the column to drop
		for i, c := range t.columns {
			if widths[i] == 0 {
				continue
			}
			if least += widths[i] + gap; c.least > 0 {
				least -= widths[i] - min(widths[i], max(c.least, len(c.head)))
			}
			if c.drop > 0 && (next < 0 || c.drop > t.columns[next].drop) {
				next = i
			}
		}
		if least <= width || next < 0 {
			return total
		}
		total -= widths[next] + gap
		widths[next] = 0
	}
}

// cutColumns cuts the widest column by a letter, until the table fits or no
// column may be cut.
func (t *table) cutColumns(widths []int, total, width int) {
	for ; total > width; total-- {
		widest := -1
		for i, c := range t.columns {
			mayCut := c.least > 0 && widths[i] > max(c.least, len(c.head))
			if mayCut && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (t *table) line(cells []string, widths []int, width int) string {
	var parts []string
	for i, c := range t.columns {
		if widths[i] == 0 {
			continue
		}
		cell := truncate(cells[i], widths[i])
		space := strings.Repeat(" ", widths[i]-len([]rune(cell)))
		if c.right {
			cell = space + cell
		} else {
			cell += space
		}
		parts = append(parts, cell)
	}
	text := strings.TrimRight(strings.Join(parts, strings.Repeat(" ", gap)), " ")
	if width > 0 {
		text = truncate(text, width)
	}
	return text
}

// fold breaks text into lines, each after an indent. A width of 0 is unlimited.
func fold(text string, indent string, width int) string {
	text = printable(text)
	if width <= 0 {
		return indent + text + "\n"
	}
	var b strings.Builder
	line := indent
	for _, word := range strings.Fields(text) {
		if line != indent && len([]rune(line))+1+len([]rune(word)) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

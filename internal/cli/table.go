package cli

import (
	"fmt"
	"io"
	"strings"
)

// A table is text in columns that fits the terminal: where it is too wide,
// columns that may be cut are, the widest first, and where that does not do,
// those that matter least are left out. So are columns in which nothing stands.
type table struct {
	columns []column
	rows    [][]string
}

// A column may be cut to least letters, or, with 0, not at all. Where there is
// no room the one with the highest drop goes first; with 0 it never goes.
type column struct {
	head  string
	right bool
	least int
	drop  int
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	t.rows = append(t.rows, cells)
}

// print writes the table with its head.
func (t *table) print(w io.Writer, width int) {
	for _, l := range t.lines(width) {
		fmt.Fprintln(w, l)
	}
}

// gap is between two columns.
const gap = 2

// widths are the columns' as they would like to be, 0 where nothing stands, and
// the total is the table's.
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

// lines lays the table out, the head first; width 0 is no limit.
func (t *table) lines(width int) []string {
	widths, total := t.widths()
	for width > 0 {
		least := -gap
		last := -1
		for i, c := range t.columns {
			if widths[i] == 0 {
				continue
			}
			if least += widths[i] + gap; c.least > 0 {
				least -= widths[i] - min(widths[i], max(c.least, len(c.head)))
			}
			if c.drop > 0 && (last < 0 || c.drop > t.columns[last].drop) {
				last = i
			}
		}
		if least <= width || last < 0 {
			break
		}
		total -= widths[last] + gap
		widths[last] = 0
	}
	for width > 0 && total > width {
		widest := -1
		for i, c := range t.columns {
			if c.least > 0 && widths[i] > max(c.least, len(c.head)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
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

func (t *table) line(cells []string, widths []int, width int) string {
	var parts []string
	for i, c := range t.columns {
		if widths[i] == 0 {
			continue
		}
		cell := cutTo(cells[i], widths[i])
		space := strings.Repeat(" ", widths[i]-len([]rune(cell)))
		if c.right {
			cell = space + cell
		} else {
			cell += space
		}
		parts = append(parts, cell)
	}
	line := strings.TrimRight(strings.Join(parts, "  "), " ")
	if width > 0 {
		line = cutTo(line, width)
	}
	return line
}

// fold breaks text into lines of a width, each after an indent; width 0 is no
// limit.
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

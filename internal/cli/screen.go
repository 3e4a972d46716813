package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// A style is the parameter of an SGR sequence (ECMA-48), "" for none.
type style string

const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	red   style = "31"
	green style = "32"
)

// A line on a screen consists of parts, each with its own style.
type line []part

type part struct {
	text string
	style
}

// A screen is the last lines of a terminal, which are redrawn in place.
type screen struct {
	w      io.Writer
	size   func() (width, height int)
	colour bool
	drawn  int // how many lines the last draw wrote
}

// newScreen returns a screen on w. It returns nil if w is not a terminal, or one
// that cannot move the cursor (TERM=dumb). NO_COLOR turns colours off.
func newScreen(w io.Writer) *screen {
	if term := os.Getenv("TERM"); !isTerminal(w) || term == "" || term == "dumb" {
		return nil
	}
	return &screen{w: w, size: func() (int, int) { return sizeOf(w) }, colour: os.Getenv("NO_COLOR") == ""}
}

// draw replaces the lines of the last draw. It cuts what does not fit: the cursor
// could not go back over a line that wraps or that scrolls off the top.
func (s *screen) draw(lines []line) {
	width, height := s.size()
	if limit := max(1, height-1); len(lines) > limit {
		hidden := len(lines) - limit + 1
		lines = append(lines[:limit-1:limit-1], line{{fmt.Sprintf("… and %d more lines", hidden), dim}})
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	b.WriteByte('\r')
	for _, l := range lines {
		b.WriteString(l.render(width, s.colour))
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.w, b.String())
	s.drawn = len(lines)
}

// render returns the line for a terminal, cut to width. A width of 0 is unlimited.
func (l line) render(width int, colour bool) string {
	var b strings.Builder
	room := width
	for i, p := range l {
		text := printable(p.text)
		n := len([]rune(text))
		more := i+1 < len(l) && strings.TrimSpace(l[i+1].text) != ""
		if width > 0 && (n > room || n == room && more) {
			text = truncate(text+" ", room)
			n = room
		}
		room -= n
		if colour && p.style != plain && text != "" {
			text = "\x1b[" + string(p.style) + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		if width > 0 && room <= 0 {
			break
		}
	}
	return b.String()
}

package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An output remembers that it could not be written: half a picture on a full
// disk is no success.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(text []byte) (int, error) {
	n, err := o.Writer.Write(text)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// fileOf is the file that w writes to, nil if it is none.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// isTerminal reports whether what is written to w appears on a terminal.
func isTerminal(w io.Writer) bool {
	f := fileOf(w)
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// widthOf is how wide what is written to w may be: COLUMNS, or the terminal's
// width; 0 for a pipe or a file, which are as wide as it takes.
func widthOf(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	width, _ := sizeOf(w)
	return width
}

// sizeOf is the size of the terminal that w is, zeroes where it is none.
func sizeOf(w io.Writer) (width, height int) {
	if !isTerminal(w) {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(fileOf(w).Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// A style is how a part of a line looks.
type style string

const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	red   style = "31"
	green style = "32"
)

// A line on a screen is parts, each with its own look.
type line []part

type part struct {
	text string
	style
}

// A screen is some lines at the end of a terminal that are drawn again and
// again, in place.
type screen struct {
	w      io.Writer
	size   func() (width, height int)
	colour bool
	drawn  int // lines that are there
}

// newScreen returns a screen on w, or nil where that cannot be one: not a
// terminal, or one that cannot go back (TERM=dumb).
func newScreen(w io.Writer) *screen {
	if term := os.Getenv("TERM"); !isTerminal(w) || term == "" || term == "dumb" {
		return nil
	}
	return &screen{w: w, size: func() (int, int) { return sizeOf(w) }, colour: os.Getenv("NO_COLOR") == ""}
}

// draw puts lines in place of those that are there. What does not fit is cut:
// a line that wraps, or that leaves at the top, could not be found again.
func (s *screen) draw(lines []line) {
	width, height := s.size()
	if most := max(1, height-1); len(lines) > most {
		left := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], line{{fmt.Sprintf("… and %d more lines", left), dim}})
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

// render cuts the line to a width, if that is not 0.
func (l line) render(width int, colour bool) string {
	var b strings.Builder
	left := width
	for i, p := range l {
		text := printable(p.text)
		n := len([]rune(text))
		more := i+1 < len(l) && strings.TrimSpace(l[i+1].text) != ""
		if width > 0 && (n > left || n == left && more) {
			text = cutTo(text+" ", left)
			n = left
		}
		left -= n
		if colour && p.style != plain && text != "" {
			text = "\x1b[" + string(p.style) + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		if width > 0 && left <= 0 {
			break
		}
	}
	return b.String()
}

// cutTo shortens text to n letters.
func cutTo(text string, n int) string {
	r := []rune(text)
	switch {
	case len(r) <= n:
		return text
	case n <= 0:
		return ""
	}
	return string(r[:n-1]) + "…"
}

// printable takes from text what a terminal would take for a command, or for
// the end of the line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0:
			return '�'
		}
		return r
	}, text)
}

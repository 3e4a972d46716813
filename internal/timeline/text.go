package timeline

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"
)

// escape makes text of a name or a message, which may hold anything. What no
// XML may hold, such as control characters, becomes U+FFFD.
func escape(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return "" // a bytes.Buffer takes everything
	}
	return b.String()
}

func itoa(n int) string { return strconv.Itoa(n) }

// num writes a coordinate.
func num(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// glyph is the mean width of a letter, as a share of the font size, in the
// widest of the fonts that are likely: there is no font to measure with.
const glyph = 0.6

// fits is how many letters of a font size fit into a width.
func fits(width, size float64) int { return max(1, int(width/(size*glyph))) }

// cutMiddle shortens a name to n letters: names that begin alike often differ
// at the end.
func cutMiddle(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	if n < 4 {
		return string(r[:n-1]) + "…"
	}
	tail := (n - 1) * 2 / 5
	return string(r[:n-1-tail]) + "…" + string(r[len(r)-tail:])
}

// cut shortens a sentence to n letters.
func cut(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return strings.TrimRight(string(r[:max(0, n-1)]), " ,;:") + "…"
}

// wrap breaks words into lines of at most n letters, and into at most most
// lines; the last one says how many words are left out.
func wrap(words []string, n, most int) (lines []string) {
	line := ""
	for i, w := range words {
		w = cutMiddle(w, n)
		switch {
		case line == "":
			line = w
		case len([]rune(line))+1+len([]rune(w)) <= n:
			line += " " + w
		case len(lines) == most-1:
			return append(lines, cut(line, n-12)+" and "+itoa(len(words)-i)+" more")
		default:
			lines = append(lines, line)
			line = w
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// short is a boot ID as people tell boots apart.
func short(id string) string { return cut(id, 9) }

// wrapText breaks a sentence into at most two lines of n letters.
func wrapText(text string, n int) []string {
	lines := wrap(strings.Fields(text), n, 1000)
	if len(lines) > 2 {
		lines = []string{lines[0], cut(lines[1], n-1)}
		lines[1] = strings.TrimSuffix(lines[1], "…") + "…"
	}
	return lines
}

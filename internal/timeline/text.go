package timeline

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"
)

// escape escapes a name or message for XML. What XML does not allow, such as
// control characters, becomes U+FFFD.
func escape(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		return "" // does not happen: a bytes.Buffer accepts every write
	}
	return b.String()
}

// num formats a coordinate or length.
func num(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// letterWidth is the mean width of a letter, as a fraction of the font size, in
// the widest of the likely fonts. The viewer chooses the font.
const letterWidth = 0.6

// maxLetters returns how many letters of a font size fit into a width.
func maxLetters(width, size float64) int { return max(1, int(width/(size*letterWidth))) }

// shortenMiddle shortens a name to n letters. It keeps the end: names that begin
// alike often differ there.
func shortenMiddle(text string, n int) string {
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

// shorten shortens a sentence to n letters.
func shorten(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return strings.TrimRight(string(r[:max(0, n-1)]), " ,;:") + "…"
}

// wrap breaks words into at most maxLines lines of at most n letters. If that
// leaves words out, the last line says how many.
func wrap(words []string, n, maxLines int) (lines []string) {
	line := ""
	for i, w := range words {
		w = shortenMiddle(w, n)
		switch {
		case line == "":
			line = w
		case len([]rune(line))+1+len([]rune(w)) <= n:
			line += " " + w
		case len(lines) == maxLines-1:
			return append(lines, shorten(line, n-12)+" and "+strconv.Itoa(len(words)-i)+" more")
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

// shortBootID shortens a boot ID to what tells boots apart.
func shortBootID(id string) string { return shorten(id, 9) }

// wrapText breaks a sentence into at most two lines of n letters.
func wrapText(text string, n int) []string {
	lines := wrap(strings.Fields(text), n, 1000)
	if len(lines) > 2 {
		lines = []string{lines[0], shorten(lines[1], n-1)}
		lines[1] = strings.TrimSuffix(lines[1], "…") + "…"
	}
	return lines
}

package diagnosis

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxMessage bounds a message that is looked at, in bytes: podman puts long mount
// options before the reason.
const MaxMessage = 8000

const (
	// maxText bounds a line that is quoted, in bytes.
	maxText = 1000
	// maxQuoted bounds a line that is quoted within a sentence.
	maxQuoted = 200
)

// terminal matches the sequences by which a program paints on a terminal
// (ECMA-48), whole or cut off.
var terminal = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]?|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-_]?)")

// Clean makes text fit for a terminal, a page and a report: valid UTF-8 of one
// line, without control characters and without those that change the direction
// of writing, and not longer than 1000 bytes.
func Clean(text string) string { return cut(oneLine(text), maxText) }

// oneLine is Clean for a text of up to MaxMessage bytes.
func oneLine(text string) string {
	text = text[:min(len(text), MaxMessage)]
	text = terminal.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r): // controls, formats such as U+202E, private ones
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// cut shortens a text to so many bytes, at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const more = "…"
	end := most - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimSpace(text[:end]) + more
}

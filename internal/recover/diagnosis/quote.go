package diagnosis

import "slices"

const (
	// quotedLines and quotedBytes bound what is quoted of an attempt.
	quotedLines = 20
	quotedBytes = 4096
)

// Quote returns the last lines of an attempt as a person is to read them: what
// podman, its helpers and the container wrote, at most 20 lines and 4 KB, oldest
// first, each as [Clean] makes it. Where they wrote nothing, it quotes systemd.
func Quote(lines []Line) []string {
	// Attached podman writes what the container prints a second time.
	printed := map[string]bool{}
	for _, l := range lines {
		if l.Source() == Program {
			printed[l.Text()] = true
		}
	}
	told := func(l Line) bool {
		return l.Event == "" && !l.isNoise() && !(l.isPodman() && l.Source() == Engine && printed[l.Text()])
	}
	quoted := tail(lines, func(l Line) bool { return told(l) && (l.Source() == Engine || l.Source() == Program) })
	if len(quoted) == 0 {
		quoted = tail(lines, func(l Line) bool { return told(l) && l.Source() == Manager })
	}
	return quoted
}

// tail is the text of the last lines that are ones, within the bounds.
func tail(lines []Line, is func(Line) bool) (texts []string) {
	left := quotedBytes
	for _, l := range slices.Backward(lines) {
		if !is(l) {
			continue
		}
		text := l.Text()
		if left -= len(text) + 1; left < 0 || len(texts) == quotedLines {
			break
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	slices.Reverse(texts)
	return texts
}

package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	sample := table{columns: []column{
		{head: "NAME", least: 6}, {head: "N", right: true}, {head: "NONE"}, {head: "WHY", least: 5},
	}}
	sample.add("a-very-long-name", "1", "", "it did not\nstart")
	sample.add("b", "12", "", "")
	for width, want := range map[int][]string{
		0:  {"NAME               N  WHY", "a-very-long-name   1  it did not start", "b                 12"},
		30: {"NAME         N  WHY", "a-very-lo…   1  it did no…", "b           12"},
		12: {"NAME     N …", "a-ver…   1 …", "b       12"},
	} {
		got := sample.lines(width)
		if width == 30 { // which of two columns is cut by the last letter does not matter
			for _, l := range got {
				if n := len([]rune(l)); n > 30 {
					t.Errorf("%d letters: %q", n, l)
				}
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", width, diff)
		}
	}
	if sample.fits(29) || !sample.fits(40) || !sample.fits(0) {
		t.Error("fits is wrong")
	}
	sample.columns[1].drop = 1
	if diff := cmp.Diff([]string{"NAME    WHY", "a-ver…  it d…", "b"}, sample.lines(13)); diff != "" {
		t.Errorf("with a dropped column (-want +got):\n%s", diff)
	}
	if got := fold("one two three four", "  ", 11); got != "  one two\n  three\n  four\n" {
		t.Errorf("folded: %q", got)
	}
}

// A container's name or message does not reach the terminal as a command.
func TestControlCharactersReplaced(t *testing.T) {
	sample := table{columns: []column{{head: "NAME"}}}
	sample.add("\x1b[2Jevil\u009b31m\x7f")
	if got := strings.Join(sample.lines(0), ""); strings.ContainsAny(got, "\x1b\u009b\x7f") {
		t.Errorf("printed: %q", got)
	}
}

func TestScreen(t *testing.T) {
	var out strings.Builder
	s := &screen{w: &out, size: func() (int, int) { return 10, 4 }}
	s.draw([]line{{{"one", bold}, {" and a half", dim}}, {{"two", plain}}})
	if want := "\rone and a…\x1b[K\ntwo\x1b[K\n\x1b[J"; out.String() != want {
		t.Errorf("drawn: %q, want %q", out.String(), want)
	}
	out.Reset()
	s.draw([]line{{{"1", plain}}, {{"2", plain}}, {{"3", plain}}, {{"4", plain}}, {{"5", plain}}})
	if want := "\x1b[2A\r1\x1b[K\n2\x1b[K\n… and 3 m…\x1b[K\n\x1b[J"; out.String() != want {
		t.Errorf("drawn: %q, want %q", out.String(), want)
	}
	out.Reset()
	s.colour = true
	s.draw([]line{{{"ok", green}}})
	if want := "\x1b[3A\r\x1b[32mok\x1b[0m\x1b[K\n\x1b[J"; out.String() != want {
		t.Errorf("drawn: %q, want %q", out.String(), want)
	}
}

func TestLineCut(t *testing.T) {
	for want, l := range map[string]line{
		"exactly10!": {{"exactly", plain}, {"10!", plain}},
		"exactly10…": {{"exactly", plain}, {"10!!", plain}},
		"0123456789": {{"0123456789", plain}, {"  ", plain}},
		"012345678…": {{"0123456789", plain}, {"x", plain}},
	} {
		if got := l.render(10, false); got != want {
			t.Errorf("%v is %q, want %q", l, got, want)
		}
	}
}

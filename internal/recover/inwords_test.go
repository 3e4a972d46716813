package recover

import (
	"context"
	"testing"
	"time"
)

// A journalOfEnd answers with the end of one boot.
type journalOfEnd struct {
	Journal
	end BootEnd
}

func (j journalOfEnd) BootEnd(context.Context, string, string) (BootEnd, error) { return j.end, nil }

// The last entry before a power loss tells nothing by itself. The verdict says what it shows.
func TestPowerLossInWords(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 2, 31, 0, time.Local)
	said := Sign{Entry: Entry{Message: "something else", Time: at}}
	asked := Sign{Kind: SignShutdownAsked, Entry: Entry{Time: at.Add(-time.Minute)}}
	boot := func(after time.Duration) []Sign { return []Sign{{}, {Entry: Entry{Time: at.Add(after)}}} }
	for name, c := range map[string]struct {
		end  BootEnd
		want string
	}{
		"plain": {BootEnd{Tail: []Sign{said}, Next: boot(38200 * time.Millisecond)},
			"the last entry of the journal is of 2026-11-22 14:02:31, 38.2s before the next boot; no shutdown had begun"},
		"in a shutdown": {BootEnd{Tail: []Sign{asked, said}, Next: boot(2 * time.Minute)},
			"the last entry of the journal is of 2026-11-22 14:02:31, 2m0s before the next boot; " +
				"a shutdown had begun, and did not end"},
		"a clock that was set back": {BootEnd{Tail: []Sign{said}, Next: boot(-time.Hour)},
			"the last entry of the journal is of 2026-11-22 14:02:31; no shutdown had begun"},
		"a next boot that is not known": {BootEnd{Tail: []Sign{said}},
			"the last entry of the journal is of 2026-11-22 14:02:31; no shutdown had begun"},
		"an entry without a time": {BootEnd{Tail: []Sign{{Entry: Entry{Message: "x"}}}, Next: boot(0)}, ""},
		"a panic":                 {BootEnd{Tail: []Sign{said, sign(SignPanic, CausePanic)}}, ""},
		"nothing":                 {BootEnd{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := Verdict{Ending: HostCrashed, Previous: &Identity{BootID: "a"}}
			v = v.Explain(t.Context(), journalOfEnd{end: c.end}, Identity{BootID: "b"})
			if v.InWords != c.want {
				t.Errorf("in words: %q, want %q", v.InWords, c.want)
			}
		})
	}
}

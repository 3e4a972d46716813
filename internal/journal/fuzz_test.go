package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"archy-recovery/internal/recover"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}", "null\n", "[]\n", `{"MESSAGE":"hello","__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795389965655252","__MONOTONIC_TIMESTAMP":"-1","_PID":"x"}`,
		"{\"MESSAGE\":[104,105,255,-1,256]}\n{\"MESSAGE\":[\"a\",[1,2]]}\n{\"MESSAGE\":null}\n", `{"MESSAGE":[[[[[["x"]]]]]]}`, "{\"MESSAGE\":\"one\"}\n{\"MESS\n\x00\n{\"MESSAGE\":\"two\"}\n",
	} {
		f.Add([]byte(seed))
	}
	for _, file := range recordings(f) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, whole, err := parse(bytes.NewReader(text), 0, all)
		if whole != (err == nil) {
			t.Errorf("whole %v, %v", whole, err)
		}
		if len(entries) > bytes.Count(text, []byte("\n"))+1 {
			t.Errorf("%d entries", len(entries))
		}
		for _, e := range entries {
			if !utf8.ValidString(e.Message) || !utf8.ValidString(e.Cursor) {
				t.Errorf("not UTF-8: %q at %q", e.Message, e.Cursor)
			}
		}
		// A verdict is made of whatever there is.
		_, _ = recover.ExplainHost(recover.BootEnd{Tail: entries, Next: entries, Records: entries})
		for _, c := range recover.Replay([]recover.Container{{Name: "db"}}, entries) {
			if err := recover.CheckName(c.Name); err != nil {
				t.Error("into the set came: ", err)
			}
		}
		// A damaged line takes nothing of what follows with it.
		more, _, err := parse(strings.NewReader(string(text)+"\n{\"MESSAGE\":\"last\"}\n"), 0, all)
		if err != nil || len(more) == 0 || more[len(more)-1].Message != "last" {
			t.Errorf("the last entry is lost: %v", err)
		}
	})
}

// recordings are the beginnings of what journalctl was recorded to print.
func recordings(f *testing.F) (texts [][]byte) {
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			texts = append(texts, text[:min(len(text), 8<<10)])
		}
	}
	return texts
}

func FuzzBootList(f *testing.F) {
	for _, seed := range []string{"", "[]", "null", `[{"index":0,"boot_id":"b","first_entry":1,"last_entry":2}]`, `[{"index":-1},{"index":0}`, `[{"first_entry":9223372036854775807}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		boots, err := parseBoots(bytes.NewReader(text))
		if err != nil && boots != nil {
			t.Errorf("%v, and %v", boots, err)
		}
	})
}

// An entry that is deep or long takes no more time than others, and what comes
// after it is read.
func TestEntriesThatNobodyWritesAreBounded(t *testing.T) {
	const last = "\n{\"MESSAGE\":\"last\"}\n"
	for name, text := range map[string]string{
		"deep":     `{"MESSAGE":` + strings.Repeat("[", 9000) + `"` + strings.Repeat("x", 500<<10) + `"` + strings.Repeat("]", 9000) + `}`,
		"too deep": `{"MESSAGE":` + strings.Repeat("[", 400<<10) + strings.Repeat("]", 400<<10) + `}`,
		"too long": `{"MESSAGE":"` + strings.Repeat("x", 3*maxEntry) + `"}`,
		"octets":   `{"MESSAGE":[` + strings.Repeat("255,", maxEntry/5) + `255]}`,
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			entries, whole, err := parse(strings.NewReader(text+last), 0, all)
			if err != nil || !whole || len(entries) == 0 || entries[len(entries)-1].Message != "last" {
				t.Errorf("%d entries, %v", len(entries), err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

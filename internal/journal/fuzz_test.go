package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"archy-recovery/internal/recover"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}", "null\n", "[]\n",
		object(`"MESSAGE":"hello"`, `"__CURSOR":"s=1"`, `"__REALTIME_TIMESTAMP":"1795389965655252"`,
			`"__MONOTONIC_TIMESTAMP":"-1"`, `"_PID":"x"`),
		"{\"MESSAGE\":[104,105,255,-1,256]}\n{\"MESSAGE\":[\"a\",[1,2]]}\n{\"MESSAGE\":null}\n",
		`{"MESSAGE":[[[[[["x"]]]]]]}`,
		"{\"MESSAGE\":\"one\"}\n{\"MESS\n\x00\n{\"MESSAGE\":\"two\"}\n",
		object(`"PODMAN_EVENT":"start"`, `"PODMAN_NAME":"../x"`, `"PODMAN_LABELS":"{\"io.archy.tier\":\"1\"}"`),
	} {
		f.Add([]byte(seed))
	}
	for _, file := range recordings(f) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, whole, err := parseAll(bytes.NewReader(text), 0)
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
		// A verdict can be made of any entries.
		signs, records := signsOf(entries, signOf), signsOf(entries, recordOf)
		_, _ = recover.ExplainHost(recover.BootEnd{Tail: signs, Next: signs, Records: records})
		_, _ = recover.ExplainService(signs)
		for _, uid := range []int{0, 1000} {
			for _, c := range recover.Replay([]recover.Container{{Name: "db"}}, eventsOf(entries, uid)) {
				if err := recover.CheckName(c.Name); err != nil {
					t.Error("the set has an invalid name: ", err)
				}
			}
		}
		// A damaged line does not damage the lines after it.
		more, _, err := parseAll(strings.NewReader(string(text)+"\n{\"MESSAGE\":\"last\"}\n"), 0)
		if err != nil || len(more) == 0 || more[len(more)-1].Message != "last" {
			t.Errorf("the last entry is lost: %v", err)
		}
	})
}

// recordings returns the beginning of each recorded output of journalctl.
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
	for _, seed := range []string{
		"", "[]", "null", `[{"index":0,"boot_id":"b","first_entry":1,"last_entry":2}]`,
		`[{"index":-1},{"index":0}`, `[{"first_entry":9223372036854775807}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		boots, err := parseBoots(bytes.NewReader(text))
		if err != nil && boots != nil {
			t.Errorf("%v, and %v", boots, err)
		}
	})
}

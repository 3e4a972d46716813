package journal

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	message := func(text string) entry {
		return entry{Entry: recover.Entry{Message: text}, fields: map[string]string{}}
	}
	for name, c := range map[string]struct {
		text string
		want []entry
	}{
		"nothing": {"", nil},
		"entry": {
			object(`"__CURSOR":"s=1"`, `"__REALTIME_TIMESTAMP":"1795389965655252"`, `"__MONOTONIC_TIMESTAMP":"2000000"`,
				`"MESSAGE":"hello"`, `"MESSAGE_ID":"abc"`, `"_PID":"1"`, `"_TRANSPORT":"kernel"`, `"UNIT":"a.service"`),
			[]entry{{Entry: recover.Entry{Cursor: "s=1", Time: time.UnixMicro(1795389965655252), Message: "hello"},
				id: "abc", pid: 1, kernel: true, monotonic: 2 * time.Second,
				fields: map[string]string{"UNIT": "a.service", "_TRANSPORT": "kernel"}}}},
		"damaged line": {
			"{\"MESSAGE\":\"one\"}\n{\"MESS\n\x00\x00\n{\"MESSAGE\":\"two\"}\n",
			[]entry{message("one"), message("two")}},
		"field too long":      {`{"MESSAGE":null}`, []entry{message("")}},
		"field not UTF-8":     {`{"MESSAGE":[104,105,255]}`, []entry{message("hi\uFFFD")}},
		"field with 2 values": {`{"MESSAGE":["one","two"]}`, []entry{message("two")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := parseAll(strings.NewReader(c.text), 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(entry{})); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

// An entry that is deep or long takes no more time than others, and the entry after
// it is read.
func TestOversizedEntries(t *testing.T) {
	const last = "\n{\"MESSAGE\":\"last\"}\n"
	deep := strings.Repeat("[", 9000) + `"` + strings.Repeat("x", 500<<10) + `"` + strings.Repeat("]", 9000)
	for name, text := range map[string]string{
		"deep":     `{"MESSAGE":` + deep + `}`,
		"too deep": `{"MESSAGE":` + strings.Repeat("[", 400<<10) + strings.Repeat("]", 400<<10) + `}`,
		"too long": `{"MESSAGE":"` + strings.Repeat("x", 3*maxEntry) + `"}`,
		"octets":   `{"MESSAGE":[` + strings.Repeat("255,", maxEntry/5) + `255]}`,
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			entries, whole, err := parseAll(strings.NewReader(text+last), 0)
			if err != nil || !whole || len(entries) == 0 || entries[len(entries)-1].Message != "last" {
				t.Errorf("%d entries, %v", len(entries), err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

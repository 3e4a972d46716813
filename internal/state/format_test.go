package state

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// An older program refuses a newer directory, and changes nothing in it.
func TestNewerFormat(t *testing.T) {
	for text, refused := range map[string]bool{"1\n": false, "2\n": true, "37\nmore\n": true} {
		dir := t.TempDir()
		files := prepare(t, dir)
		write(t, dir, formatFile, text)
		files[formatFile] = text
		d, err := Open(dir, func(text, file string, err error) { t.Error(text, file, err) })
		if errors.Is(err, ErrNewer) != refused {
			t.Errorf("%q: Open returns %v", text, err)
		}
		if err == nil {
			d.Close()
		} else if !strings.Contains(err.Error(), "Install that version again") {
			t.Errorf("%q: it does not say what to do: %v", text, err)
		}
		if _, err := Read(dir, func(string, string, error) {}); errors.Is(err, ErrNewer) != refused {
			t.Errorf("%q: Read returns %v", text, err)
		}
		if diff := cmp.Diff(files, contents(t, dir)); diff != "" {
			t.Errorf("%q: the files have changed:\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "two\n", "0\n"} {
		dir := t.TempDir()
		write(t, dir, formatFile, text)
		if _, err := Open(dir, func(string, string, error) {}); err == nil || !strings.Contains(err.Error(), "no format") {
			t.Errorf("%q: Open returns %v", text, err)
		}
	}
}

// Fields of a later version do not make a file a damaged one: what this version knows of it
// is read.
func TestNewerFields(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		markerFile: "40\nboot_id=b1\nsoft_reboots=1\nstart_time=5\nmood=good\nleft=later word\n",
		snapshotFile: `{"timestamp":1,"more":{"a":[1]},"containers":[{"name":"a","image":"i","more":{}},` +
			`{"name":"b","image":"i","unit":"b.service"}],"bootId":"b1"}`,
		inFlightFile:   `{"bootId":"b1","containers":["a"],"more":[1]}`,
		quarantineFile: `{"suspects":[{"name":"a","strikes":1,"more":{"b":2}}],"more":1}`,
	} {
		write(t, dir, name, text)
	}
	d, reported := open(t, dir)
	defer d.Close()
	m := d.Marker()
	if v := recover.Judge(m, recover.Identity{BootID: "b2"}); m.BootID != "b1" || v.Ending != recover.EndedEarly {
		t.Errorf("the marker is %+v, the verdict %+v", m, v)
	}
	s, err := d.Snapshot()
	if err != nil || len(s.Containers) != 2 || s.Containers[1].Unit != "b.service" {
		t.Errorf("the snapshot is %+v, %v", s, err)
	}
	f, err := d.InFlight()
	if err != nil || !slices.Equal(f.Names, []string{"a"}) {
		t.Errorf("in flight is %+v, %v", f, err)
	}
	q, err := d.Quarantine()
	if err != nil || len(q.Suspects) != 1 || q.Suspects[0].Strikes != 1 {
		t.Errorf("the suspects are %+v, %v", q, err)
	}
	if len(*reported) > 0 {
		t.Errorf("reported %q", *reported)
	}
}

package state

import (
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestMarker(t *testing.T) {
	id := recover.Identity{BootID: "abc", SoftReboots: 2, PID: 4711, StartTime: 99}
	whole := "4711\nboot_id=abc\nsoft_reboots=2\nstart_time=99\n"
	for name, c := range map[string]struct {
		content string
		want    recover.Marker
	}{
		"complete":              {whole, recover.Marker{Identity: id}},
		"unknown key":           {whole + "colour=red\n", recover.Marker{Identity: id}},
		"PID of the old module": {"4711", recover.Marker{Identity: recover.Identity{PID: 4711}, Legacy: true}},
		"PID with a newline":    {"4711\n", recover.Marker{Identity: recover.Identity{PID: 4711}, Legacy: true}},
		"empty":                 {"", recover.Marker{Garbled: true}},
		"zeroes":                {"\x00\x00\x00\x00", recover.Marker{Garbled: true}},
		"not a number":          {"hello\n", recover.Marker{Garbled: true}},
		"negative PID":          {"-3\n", recover.Marker{Garbled: true}},
		"invalid start time":    {"4711\nboot_id=abc\nstart_time=x\n", recover.Marker{Garbled: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d, reported := open(t, t.TempDir())
			put(t, d, markerFile, c.content)
			got := d.Marker()
			if got == nil {
				t.Fatal("no marker")
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Errorf("marker (-want +got):\n%s", diff)
			}
			if c.want.Garbled != (len(*reported) > 0) {
				t.Errorf("reported %q", *reported)
			}
		})
	}
}

func TestMarkerRoundTrip(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if d.Marker() != nil {
		t.Fatal("an empty directory has a marker")
	}
	id := recover.Identity{BootID: "b", SoftReboots: 1, PID: 5, StartTime: 6}
	for _, want := range []recover.Marker{
		{Identity: id},
		{Identity: id, Earlier: []string{"b1", "b2"}, Left: recover.LeftInBoot},
	} {
		if err := d.WriteMarker(want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, d.Marker()); diff != "" {
			t.Errorf("marker (-want +got):\n%s", diff)
		}
	}
	for range 2 { // a missing marker is no error
		if err := d.RemoveMarker(); err != nil {
			t.Fatal(err)
		}
	}
	if d.Marker() != nil {
		t.Error("the marker is still there")
	}
}

// TestMarkerAlive opens the directory of a live instance.
func TestMarkerAlive(t *testing.T) {
	path := t.TempDir()
	first, _ := open(t, path)
	second, _ := open(t, path)
	if m := second.Marker(); m == nil || !m.Alive {
		t.Errorf("before the first has written its marker: %+v", m)
	}
	if err := first.WriteMarker(recover.Marker{Identity: recover.Identity{BootID: "b", PID: 7}}); err != nil {
		t.Fatal(err)
	}
	if m := second.Marker(); m == nil || !m.Alive || m.PID != 7 {
		t.Errorf("after the first has written its marker: %+v", m)
	}
	first.Close()
	third, _ := open(t, path)
	if m := third.Marker(); m == nil || m.Alive {
		t.Errorf("after the first has ended: %+v", m)
	}
}

package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// fakeAutostart: a unit that is enabled, and what targets and podman-restart start.
type fakeAutostart struct {
	enabled bool
	targets []string
	always  map[string]bool
}

func (f fakeAutostart) Enabled(context.Context, string) (bool, error) { return f.enabled, nil }
func (f fakeAutostart) StartedByTargets(context.Context, []string) ([]string, error) {
	return f.targets, nil
}
func (f fakeAutostart) RestartsAtBoot(_ context.Context, name string) (bool, error) {
	return f.always[name], nil
}

type onlyList struct {
	recover.Podman
	names []string
}

func (l onlyList) List(context.Context) ([]recover.Sighting, error) {
	var list []recover.Sighting
	for _, name := range l.names {
		list = append(list, recover.Sighting{Container: recover.Container{Name: name}})
	}
	return list, nil
}

func TestAutostartNotes(t *testing.T) {
	many := fakeAutostart{}
	for i := range 7 {
		many.targets = append(many.targets, fmt.Sprintf("u%d.service", i))
	}
	for sentence, c := range map[string]struct {
		others fakeAutostart
		want   []string // each in the note of its place
	}{
		"nothing else":                          {fakeAutostart{always: map[string]bool{"a": true}}, nil},
		"podman-restart, with nothing to start": {fakeAutostart{enabled: true}, nil},
		"podman-restart, with something": {
			fakeAutostart{enabled: true, always: map[string]bool{"a": true}}, []string{"user-stopped: a. To"},
		},
		"units with [Install]": {
			fakeAutostart{targets: []string{"b.service", "a.service"}}, []string{"a.service, b.service. To"},
		},
		"both, and many": {
			fakeAutostart{true, many.targets, map[string]bool{"b": true}}, []string{"u4.service and 2 more", "user-stopped: b"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := World{Autostart: c.others, Podman: onlyList{names: []string{"a", "b"}}}
			notes, err := w.autostarts(t.Context(), nil)
			if err != nil || len(notes) != len(c.want) {
				t.Fatalf("notes are %q, %v", notes, err)
			}
			for i, want := range c.want {
				if !strings.Contains(notes[i], want) || !strings.Contains(notes[i], "systemctl d") {
					t.Errorf("note %q lacks %q, or what to do", notes[i], want)
				}
			}
			w.Rootless = true
			notes, err = w.autostarts(t.Context(), nil)
			for _, note := range notes {
				if err != nil || !strings.Contains(note, "systemctl --user d") {
					t.Errorf("of a user: %q, %v", note, err)
				}
			}
		})
	}
}

package recover

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// fakeOthers: one who is enabled, and what targets and --restart=always start.
type fakeOthers struct {
	enabled bool
	targets []string
	always  map[string]bool
}

func (f fakeOthers) Enabled(context.Context, string) (bool, error) { return f.enabled, nil }
func (f fakeOthers) StartedByTargets(context.Context, []string) ([]string, error) {
	return f.targets, nil
}
func (f fakeOthers) RestartsAlways(_ context.Context, name string) (bool, error) {
	return f.always[name], nil
}

type onlyList struct {
	Podman
	names []string
}

func (l onlyList) List(context.Context) ([]Sighting, error) {
	var list []Sighting
	for _, name := range l.names {
		list = append(list, Sighting{Container: Container{Name: name}})
	}
	return list, nil
}

func TestOthersAreNamed(t *testing.T) {
	many := fakeOthers{}
	for i := range 7 {
		many.targets = append(many.targets, fmt.Sprintf("u%d.service", i))
	}
	for sentence, c := range map[string]struct {
		others fakeOthers
		want   []string // each in the note of its place
	}{
		"nobody else":                           {fakeOthers{always: map[string]bool{"a": true}}, nil},
		"podman-restart, with nothing to start": {fakeOthers{enabled: true}, nil},
		"podman-restart, with something":        {fakeOthers{enabled: true, always: map[string]bool{"a": true}}, []string{"user-stopped: a. To"}},
		"units with [Install]":                  {fakeOthers{targets: []string{"b.service", "a.service"}}, []string{"a.service, b.service. To"}},
		"both, and many":                        {fakeOthers{true, many.targets, map[string]bool{"b": true}}, []string{"u4.service and 2 more", "user-stopped: b"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := &Service{World: World{Others: c.others, Podman: onlyList{names: []string{"a", "b"}}}}
			notes, err := s.others(t.Context())
			if err != nil || len(notes) != len(c.want) {
				t.Fatalf("notes are %q, %v", notes, err)
			}
			for i, want := range c.want {
				if !strings.Contains(notes[i], want) {
					t.Errorf("note %q lacks %q", notes[i], want)
				}
			}
		})
	}
}

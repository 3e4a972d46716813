package recover

import (
	"slices"
	"strings"
)

// Sightings are the containers that podman lists at one moment.
type Sightings []Sighting

// Find returns the container with a name.
func (l Sightings) Find(name string) (s Sighting, known bool) {
	i := slices.IndexFunc(l, func(s Sighting) bool { return s.Name == name })
	if i < 0 {
		return Sighting{}, false
	}
	return l[i], true
}

// ByName indexes the list by name.
func (l Sightings) ByName() map[string]Sighting {
	byName := make(map[string]Sighting, len(l))
	for _, s := range l {
		byName[s.Name] = s
	}
	return byName
}

// Running reports whether the container with a name runs.
func (l Sightings) Running(name string) bool {
	s, _ := l.Find(name)
	return s.Running()
}

// WithIDPrefix returns a container whose ID begins with prefix.
func (l Sightings) WithIDPrefix(prefix string) (s Sighting, found bool) {
	i := slices.IndexFunc(l, func(s Sighting) bool { return strings.HasPrefix(s.ID, prefix) })
	if i < 0 {
		return Sighting{}, false
	}
	return l[i], true
}

package config

import (
	"fmt"
	"slices"
)

// An Origin is a line of a file.
type Origin struct {
	File string `json:"file"`
	// Line counts from 1.
	Line int `json:"line"`
}

func (o Origin) String() string { return fmt.Sprintf("%s:%d", o.File, o.Line) }

// Origins maps a key, such as "DefaultTier" or "Tier0", to the line that set
// its value. A list has one line for each assignment. A key with its default
// value is absent.
type Origins map[string][]Origin

// record notes an accepted assignment. An assignment to a list adds a line.
// An empty value restores the default, so it removes the lines.
func (o Origins) record(key, value string, list bool, line Origin) {
	switch {
	case value == "":
		delete(o, key)
	case list:
		o[key] = append(slices.Clip(o[key]), line)
	default:
		o[key] = []Origin{line}
	}
}

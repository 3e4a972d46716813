package config

import (
	"fmt"
	"slices"
)

// An Origin is a line of a file.
type Origin struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (o Origin) String() string { return fmt.Sprintf("%s:%d", o.File, o.Line) }

// Origins say where the value of each key comes from, such as "DefaultTier" or
// "Tier0": one line, or several for a list that grew. A key with its default
// is not among them.
type Origins map[string][]Origin

// set takes note of an assignment that was accepted. One of a list adds to the
// ones before; an empty one takes them back, and the default stands.
func (o Origins) set(key, value string, list bool, at Origin) {
	switch {
	case value == "":
		delete(o, key)
	case list:
		o[key] = append(slices.Clip(o[key]), at)
	default:
		o[key] = []Origin{at}
	}
}

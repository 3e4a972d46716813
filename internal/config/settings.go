package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Setting is one effective value, written as in a file.
type Setting struct {
	Section string `json:"section"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	// From is the line that set the value, or several lines for a list. It is empty for a default.
	From []Origin `json:"from"`
}

// Settings returns all effective values, in the order of archy-recovery.conf(5).
func (c Config) Settings() []Setting {
	var all []Setting
	add := func(section, key, value string) {
		from := c.Origins[key]
		if from == nil {
			from = []Origin{} // an empty array in JSON, not null
		}
		all = append(all, Setting{section, key, value, from})
	}
	for _, k := range recoveryKeys {
		add("Recovery", k.name, k.get(&c))
	}
	for _, tier := range slices.Sorted(maps.Keys(c.Policy.Tiers)) {
		if patterns := c.Policy.Tiers[tier]; len(patterns) > 0 {
			add("Tiers", "Tier"+strconv.Itoa(tier), strings.Join(patterns, " "))
		}
	}
	return all
}

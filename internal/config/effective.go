package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// A Setting is one effective value, written as in a file.
type Setting struct {
	Section string `json:"section"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	// From is where it was set; empty for a default.
	From []Origin `json:"from"`
}

// Settings are all effective values, in the order of archy-recovery.conf(5).
func (c Config) Settings() []Setting {
	var all []Setting
	add := func(section, key, value string) {
		from := c.Origins[key]
		if from == nil {
			from = []Origin{}
		}
		all = append(all, Setting{section, key, value, from})
	}
	for _, key := range keyOrder {
		add("Recovery", key, written[key](c))
	}
	for _, tier := range slices.Sorted(maps.Keys(c.Policy.Tiers)) {
		if patterns := c.Policy.Tiers[tier]; len(patterns) > 0 {
			add("Tiers", "Tier"+strconv.Itoa(tier), strings.Join(patterns, " "))
		}
	}
	return all
}

// keyOrder is the order in which people read the keys of [Recovery].
var keyOrder = []string{
	"DataDirectory", "CleanBoot", "CleanBootList", "DefaultTier", "FirstAttemptSec", "RetryPauseSec", "SecondAttemptSec",
	"TierDeadlineSec", "DeadlineSec", "MinParallel", "MaxParallel", "WaitFor", "SoakSec", "ProbationSec", "LogLevel",
}

// written has for each of recoveryKeys the way back: from the configuration to
// the text that a file would hold.
var written = map[string]func(Config) string{
	"DataDirectory":    func(c Config) string { return c.DataDirectory },
	"CleanBoot":        func(c Config) string { return string(c.Policy.CleanBoot) },
	"CleanBootList":    func(c Config) string { return strings.Join(c.Policy.CleanBootList, " ") },
	"DefaultTier":      func(c Config) string { return strconv.Itoa(c.Policy.DefaultTier) },
	"FirstAttemptSec":  span(func(p recover.Policy) time.Duration { return p.FirstAttempt }),
	"RetryPauseSec":    span(func(p recover.Policy) time.Duration { return p.RetryPause }),
	"SecondAttemptSec": span(func(p recover.Policy) time.Duration { return p.SecondAttempt }),
	"TierDeadlineSec":  span(func(p recover.Policy) time.Duration { return p.TierDeadline }),
	"DeadlineSec":      span(func(p recover.Policy) time.Duration { return p.Deadline }),
	"MinParallel":      func(c Config) string { return strconv.Itoa(c.Policy.MinParallel) },
	"MaxParallel":      func(c Config) string { return strconv.Itoa(c.Policy.MaxParallel) },
	"WaitFor":          func(c Config) string { return string(c.Policy.WaitFor) },
	"SoakSec":          span(func(p recover.Policy) time.Duration { return p.Soak }),
	"ProbationSec":     span(func(p recover.Policy) time.Duration { return p.Probation }),
	"LogLevel": func(c Config) string {
		if c.Debug {
			return "debug"
		}
		return "info"
	},
}

func span(field func(recover.Policy) time.Duration) func(Config) string {
	return func(c Config) string { return FormatTimeSpan(field(c.Policy)) }
}

// FormatTimeSpan writes a time span as systemd does, such as 2min 30s;
// ParseTimeSpan reads it.
func FormatTimeSpan(d time.Duration) string {
	var words []string
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}} {
		if n := d / unit.size; n > 0 {
			words = append(words, fmt.Sprintf("%d%s", n, unit.name))
			d -= n * unit.size
		}
	}
	return strings.Join(words, " ")
}

package config

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// recoveryKeys are the keys of [Recovery]. An empty value means the default,
// as in systemd's own files.
var recoveryKeys = map[string]func(*Config, string) error{
	"DataDirectory": func(c *Config, v string) error {
		if v != "" && !filepath.IsAbs(v) {
			return fmt.Errorf("%q is not an absolute path", v)
		}
		c.DataDirectory = v
		return nil
	},
	"LogLevel": func(c *Config, v string) error {
		switch v {
		case "", "info":
			c.Debug = false
		case "debug":
			c.Debug = true
		default:
			return fmt.Errorf("%q is neither info nor debug", v)
		}
		return nil
	},
	"CleanBoot": func(c *Config, v string) error {
		switch mode := recover.CleanBoot(v); mode {
		case "":
			c.Policy.CleanBoot = Default().Policy.CleanBoot
		case recover.CleanBootList, recover.CleanBootRestore:
			c.Policy.CleanBoot = mode
		default:
			return fmt.Errorf("%q is neither list nor restore", v)
		}
		return nil
	},
	"CleanBootList": func(c *Config, v string) error {
		return appendPatterns(&c.Policy.CleanBootList, v)
	},
	"DefaultTier": func(c *Config, v string) (err error) {
		if v == "" {
			v = strconv.Itoa(Default().Policy.DefaultTier)
		}
		tier, err := recover.ParseTier(v)
		if err == nil {
			c.Policy.DefaultTier = tier
		}
		return err
	},
	"MinParallel": count(func(p *recover.Policy) *int { return &p.MinParallel }),
	"MaxParallel": count(func(p *recover.Policy) *int { return &p.MaxParallel }),
	"WaitFor": func(c *Config, v string) error {
		switch what := recover.WaitFor(v); what {
		case "":
			c.Policy.WaitFor = Default().Policy.WaitFor
		case recover.WaitForActive, recover.WaitForHealthy:
			c.Policy.WaitFor = what
		default:
			return fmt.Errorf("%q is neither active nor healthy", v)
		}
		return nil
	},
	"SoakSec":          seconds(func(p *recover.Policy) *time.Duration { return &p.Soak }),
	"ProbationSec":     seconds(func(p *recover.Policy) *time.Duration { return &p.Probation }),
	"FirstAttemptSec":  seconds(func(p *recover.Policy) *time.Duration { return &p.FirstAttempt }),
	"SecondAttemptSec": seconds(func(p *recover.Policy) *time.Duration { return &p.SecondAttempt }),
	"RetryPauseSec":    seconds(func(p *recover.Policy) *time.Duration { return &p.RetryPause }),
	"TierDeadlineSec":  seconds(func(p *recover.Policy) *time.Duration { return &p.TierDeadline }),
	"DeadlineSec":      seconds(func(p *recover.Policy) *time.Duration { return &p.Deadline }),
}

// setTier takes a line TierN=patterns of [Tiers] over.
func (c *Config) setTier(key, value string) error {
	number, ok := strings.CutPrefix(key, "Tier")
	if !ok {
		return fmt.Errorf("unknown key %s= in [Tiers]: there are Tier0= to Tier%d=", key, recover.MaxTier)
	}
	tier, err := recover.ParseTier(number)
	if err != nil {
		return fmt.Errorf("%s=: %w", key, err)
	}
	patterns := c.Policy.Tiers[tier]
	if err := appendPatterns(&patterns, value); err != nil {
		return fmt.Errorf("%s=: %w", key, err)
	}
	c.Policy.Tiers[tier] = patterns
	return nil
}

// appendPatterns appends the words of value; an empty value resets the list.
func appendPatterns(to *recover.Patterns, value string) error {
	words := strings.Fields(value)
	if len(words) == 0 {
		*to = nil
		return nil
	}
	for _, w := range words {
		if _, err := path.Match(w, ""); err != nil {
			return fmt.Errorf("%q is not a pattern: %w", w, err)
		}
	}
	*to = append(*to, words...)
	return nil
}

func seconds(field func(*recover.Policy) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		if v == "" {
			standard := Default().Policy
			*field(&c.Policy) = *field(&standard)
			return nil
		}
		d, err := ParseTimeSpan(v)
		if err == nil {
			*field(&c.Policy) = d
		}
		return err
	}
}

func count(field func(*recover.Policy) *int) func(*Config, string) error {
	return func(c *Config, v string) error {
		standard := Default().Policy
		n, err := strconv.Atoi(v)
		if v == "" {
			n, err = *field(&standard), nil
		}
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a number of at least 1", v)
		}
		*field(&c.Policy) = n
		return nil
	}
}

// ParseTimeSpan reads a time span of systemd.time(7), such as "90", "2min" or
// "1h 30s"; a number without a unit is in seconds. It has to be positive, and
// infinity is not accepted: every wait of recovery has an end.
func ParseTimeSpan(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a time span such as 90, 2min or 1h 30s", text)
	var total float64 // nanoseconds
	rest := strings.TrimSpace(text)
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzµ"))
		unit, ok := timeUnits[rest[:letters]]
		if !ok {
			return 0, bad
		}
		total += n * float64(unit)
		rest = strings.TrimLeft(rest[letters:], " ")
	}
	const longest = 365 * 24 * time.Hour
	if total < 1 || total > float64(longest) {
		return 0, fmt.Errorf("%q is not between 0 and a year", text)
	}
	return time.Duration(total), nil
}

var timeUnits = map[string]time.Duration{
	"":   time.Second,
	"us": time.Microsecond, "µs": time.Microsecond, "usec": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// A recoveryKey is one key of [Recovery].
type recoveryKey struct {
	name string
	// set stores a value. An empty value restores the default, as in systemd's own files.
	set func(c *Config, value string) error
	// get returns the value as a file holds it.
	get func(c *Config) string
	// list says that a further assignment adds to the value. Otherwise it replaces the value.
	list bool
}

// recoveryKeys are the keys of [Recovery], in the order of archy-recovery.conf(5).
// A new key is one entry here, and a field with its default in recover.Policy.
var recoveryKeys = []recoveryKey{
	pathKey("DataDirectory", func(c *Config) *string { return &c.DataDirectory }),
	wordKey("CleanBoot", func(c *Config) *recover.CleanBoot { return &c.Policy.CleanBoot },
		recover.CleanBootList, recover.CleanBootRestore),
	patternsKey("CleanBootList", func(c *Config) *recover.Patterns { return &c.Policy.CleanBootList }),
	tierKey("DefaultTier", func(c *Config) *int { return &c.Policy.DefaultTier }),
	timeSpanKey("FirstAttemptSec", func(c *Config) *time.Duration { return &c.Policy.FirstAttempt }),
	timeSpanKey("RetryPauseSec", func(c *Config) *time.Duration { return &c.Policy.RetryPause }),
	timeSpanKey("SecondAttemptSec", func(c *Config) *time.Duration { return &c.Policy.SecondAttempt }),
	timeSpanKey("TierDeadlineSec", func(c *Config) *time.Duration { return &c.Policy.TierDeadline }),
	timeSpanKey("DeadlineSec", func(c *Config) *time.Duration { return &c.Policy.Deadline }),
	timeSpanKey("NetworkWaitSec", func(c *Config) *time.Duration { return &c.Policy.NetworkWait }),
	countKey("MinParallel", func(c *Config) *int { return &c.Policy.MinParallel }),
	countKey("MaxParallel", func(c *Config) *int { return &c.Policy.MaxParallel }),
	wordKey("WaitFor", func(c *Config) *recover.WaitFor { return &c.Policy.WaitFor },
		recover.WaitForAuto, recover.WaitForActive, recover.WaitForHealthy),
	wordKey("Jobs", func(c *Config) *recover.Jobs { return &c.Policy.Jobs }, recover.JobsRestart, recover.JobsLeave),
	timeSpanKey("SoakSec", func(c *Config) *time.Duration { return &c.Policy.Soak }),
	timeSpanKey("ProbationSec", func(c *Config) *time.Duration { return &c.Policy.Probation }),
	yesNoKey("RetryAfterReady", func(c *Config) *bool { return &c.Policy.RetryAfterReady }),
	wordKey("Repair", func(c *Config) *recover.RepairLevel { return &c.Policy.Repair },
		recover.RepairNothing, recover.RepairContainers, recover.RepairImages),
	yesNoKey("KeepImages", func(c *Config) *bool { return &c.Policy.KeepImages }),
	sizeKey("KeepImagesMax", func(c *Config) *int64 { return &c.Policy.KeepImagesMax }),
	timeSpansKey("ParoleSec", func(c *Config) *[]time.Duration { return &c.Policy.Parole }),
	logLevelKey("LogLevel", func(c *Config) *bool { return &c.Debug }),
}

// findKey returns the key with that name.
func findKey(name string) (k recoveryKey, found bool) {
	i := slices.IndexFunc(recoveryKeys, func(k recoveryKey) bool { return k.name == name })
	if i < 0 {
		return recoveryKey{}, false
	}
	return recoveryKeys[i], true
}

// newKey returns the key of a field. read parses its value from text, and write formats it.
func newKey[T any](
	name string, field func(*Config) *T, read func(string) (T, error), write func(T) string,
) recoveryKey {
	return recoveryKey{
		name: name,
		set: func(c *Config, text string) error {
			if text == "" {
				standard := Default()
				*field(c) = *field(&standard)
				return nil
			}
			v, err := read(text)
			if err == nil {
				*field(c) = v
			}
			return err
		},
		get: func(c *Config) string { return write(*field(c)) },
	}
}

// pathKey is a key whose value is an absolute path.
func pathKey(name string, field func(*Config) *string) recoveryKey {
	return newKey(name, field, func(text string) (string, error) {
		if !filepath.IsAbs(text) {
			return "", fmt.Errorf("%q is not an absolute path", text)
		}
		return text, nil
	}, func(path string) string { return path })
}

// wordKey is a key whose value is one of a few words.
func wordKey[T ~string](name string, field func(*Config) *T, words ...T) recoveryKey {
	return newKey(name, field, func(text string) (T, error) {
		if word := T(text); slices.Contains(words, word) {
			return word, nil
		}
		var names []string
		for _, w := range words {
			names = append(names, string(w))
		}
		return "", fmt.Errorf("%q is neither %s", text, strings.Join(names, " nor "))
	}, func(word T) string { return string(word) })
}

// yesNoKey is a key whose value is a boolean of systemd.syntax(7).
func yesNoKey(name string, field func(*Config) *bool) recoveryKey {
	return newKey(name, field, func(text string) (bool, error) {
		switch strings.ToLower(text) {
		case "1", "yes", "y", "true", "t", "on":
			return true, nil
		case "0", "no", "n", "false", "f", "off":
			return false, nil
		}
		return false, fmt.Errorf("%q is neither yes nor no", text)
	}, func(yes bool) string {
		if yes {
			return "yes"
		}
		return "no"
	})
}

// tierKey is a key whose value is the number of a tier.
func tierKey(name string, field func(*Config) *int) recoveryKey {
	return newKey(name, field, recover.ParseTier, strconv.Itoa)
}

// countKey is a key whose value is a number of at least 1.
func countKey(name string, field func(*Config) *int) recoveryKey {
	return newKey(name, field, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%q is not a number of at least 1", text)
		}
		return n, nil
	}, strconv.Itoa)
}

// sizeKey is a key whose value is a number of bytes.
func sizeKey(name string, field func(*Config) *int64) recoveryKey {
	return newKey(name, field, ParseSize, FormatSize)
}

// timeSpanKey is a key whose value is a time span of systemd.time(7).
func timeSpanKey(name string, field func(*Config) *time.Duration) recoveryKey {
	return newKey(name, field, ParseTimeSpan, FormatTimeSpan)
}

// timeSpansKey is a key whose value is time spans, with a blank between two, or "no" for
// none. A further assignment replaces the value.
func timeSpansKey(name string, field func(*Config) *[]time.Duration) recoveryKey {
	return newKey(name, field, func(text string) (spans []time.Duration, err error) {
		if text == "no" {
			return nil, nil
		}
		for _, word := range strings.Fields(text) {
			span, err := ParseTimeSpan(word)
			if err != nil {
				return nil, fmt.Errorf("%w; write a list such as 1h 1d 1w, or no", err)
			}
			spans = append(spans, span)
		}
		return spans, nil
	}, func(spans []time.Duration) string {
		if len(spans) == 0 {
			return "no"
		}
		var words []string
		for _, span := range spans {
			words = append(words, strings.ReplaceAll(FormatTimeSpan(span), " ", ""))
		}
		return strings.Join(words, " ")
	})
}

// logLevelKey is a key whose value is debug or info. The field is true for debug.
func logLevelKey(name string, field func(*Config) *bool) recoveryKey {
	return newKey(name, field, func(text string) (debug bool, err error) {
		if text != "info" && text != "debug" {
			return false, fmt.Errorf("%q is neither info nor debug", text)
		}
		return text == "debug", nil
	}, func(debug bool) string {
		if debug {
			return "debug"
		}
		return "info"
	})
}

// patternsKey is a key whose value is a list of patterns. An empty value empties the list.
func patternsKey(name string, field func(*Config) *recover.Patterns) recoveryKey {
	return recoveryKey{
		name: name,
		set:  func(c *Config, text string) error { return appendPatterns(field(c), text) },
		get:  func(c *Config) string { return strings.Join(*field(c), " ") },
		list: true,
	}
}

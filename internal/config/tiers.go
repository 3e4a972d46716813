package config

import (
	"fmt"
	"path"
	"strings"

	"archy-recovery/internal/recover"
)

// setTier applies an assignment TierN=patterns of [Tiers].
func (c *Config) setTier(key, value string) error {
	number, ok := strings.CutPrefix(key, "Tier")
	if !ok {
		return fmt.Errorf("unknown key %s= in [Tiers]: the keys are Tier0= to Tier%d=", key, recover.MaxTier)
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

// appendPatterns appends the words of value to the list. An empty value empties the list.
func appendPatterns(list *recover.Patterns, value string) error {
	words := strings.Fields(value)
	if len(words) == 0 {
		*list = nil
		return nil
	}
	for _, w := range words {
		if _, err := path.Match(w, ""); err != nil {
			return fmt.Errorf("%q is not a pattern: %w", w, err)
		}
	}
	*list = append(*list, words...)
	return nil
}

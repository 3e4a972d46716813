package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each key is in archy-recovery.conf(5) and in the configuration file that is
// installed, and both name no other.
func TestEveryKeyIsDocumented(t *testing.T) {
	for _, c := range []struct {
		file  string
		line  string         // what a line that documents keys begins with
		key   *regexp.Regexp // a key on such a line
		tiers string         // where [Tiers] begins: its keys are numbered
		add   string         // what to add for KEY
	}{
		{"../../docs/man/archy-recovery.conf.5.md", "**", regexp.MustCompile(`\*\*([A-Z][A-Za-z]+)=\*\*`),
			"\n# [TIERS]", "**KEY=**\n:   What it does. Default: …"},
		{"../../packaging/systemd/archy-recovery.conf", "#", regexp.MustCompile(`^#([A-Z][A-Za-z]+)=`),
			"\n[Tiers]", "# What it does.\n#KEY=default"},
	} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		recovery, _, found := strings.Cut(string(text), c.tiers)
		if !found {
			t.Errorf("%s has no section of tiers", c.file)
		}
		documented := map[string]bool{}
		for line := range strings.Lines(recovery) {
			if !strings.HasPrefix(line, c.line) {
				continue
			}
			for _, m := range c.key.FindAllStringSubmatch(line, -1) {
				documented[m[1]] = true
			}
		}
		for key := range recoveryKeys {
			if !documented[key] {
				t.Errorf("%s lacks %s=. Add:\n\n%s\n", c.file, key, strings.ReplaceAll(c.add, "KEY", key))
			}
		}
		for key := range documented {
			if recoveryKeys[key] == nil {
				t.Errorf("%s documents %s=, which there is not", c.file, key)
			}
		}
	}
}

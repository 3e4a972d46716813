package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestKeysDocumented checks that archy-recovery.conf(5) and the installed
// configuration file name each key, and no unknown key.
func TestKeysDocumented(t *testing.T) {
	for _, c := range []struct {
		file  string
		line  string         // the beginning of a line that documents keys
		key   *regexp.Regexp // a key on such a line
		tiers string         // where [Tiers] begins; its keys have numbers and are not checked
		add   string         // the lines to add for KEY
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
			t.Errorf("%s has no section [Tiers]", c.file)
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
		for _, k := range recoveryKeys {
			if !documented[k.name] {
				t.Errorf("%s lacks %s=. Add:\n\n%s\n", c.file, k.name, strings.ReplaceAll(c.add, "KEY", k.name))
			}
		}
		for name := range documented {
			if _, found := findKey(name); !found {
				t.Errorf("%s documents %s=, but there is no such key", c.file, name)
			}
		}
	}
}

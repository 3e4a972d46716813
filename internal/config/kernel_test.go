package config

import (
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

func TestKernelMode(t *testing.T) {
	for line, want := range map[string]struct {
		mode    recover.Mode
		problem string
	}{
		"":                                        {},
		"root=/dev/vda quiet":                     {},
		"quiet archy.recovery=off\n":              {mode: recover.ModeOff},
		"archy.recovery=safe ro":                  {mode: recover.ModeSafe},
		`archy.recovery="safe"`:                   {mode: recover.ModeSafe},
		"archy.recovery=off archy.recovery=safe":  {mode: recover.ModeSafe},
		"archy.recovery=on":                       {problem: "archy.recovery=on"},
		"archy.recovery=on archy.recovery=off":    {mode: recover.ModeOff},
		"archy.recovery":                          {},
		"not-archy.recovery=off archy.recovery2=": {},
	} {
		mode, err := KernelMode(line)
		if mode != want.mode {
			t.Errorf("%q: mode %q, want %q", line, mode, want.mode)
		}
		if (err != nil) != (want.problem != "") || err != nil && !strings.Contains(err.Error(), want.problem) {
			t.Errorf("%q: error %v, want one that names %q", line, err, want.problem)
		}
	}
}

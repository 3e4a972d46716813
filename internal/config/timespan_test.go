package config

import (
	"testing"
	"time"
)

func TestParseTimeSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "2min": 2 * time.Minute, "1h 30s": time.Hour + 30*time.Second,
		"1h30m": 90 * time.Minute, "250 ms": 250 * time.Millisecond, "0.5": 500 * time.Millisecond,
	} {
		if got, err := ParseTimeSpan(text); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-5", "abc", "5 parsecs", "infinity", "1e9", "99999999999999999999d", "5s min",
	} {
		if got, err := ParseTimeSpan(text); err == nil {
			t.Errorf("%q is accepted as %s", text, got)
		}
	}
}

func TestFormatTimeSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		2 * time.Minute: "2min", 90 * time.Second: "1min 30s", time.Hour: "1h",
		1500 * time.Millisecond: "1s 500ms", time.Microsecond: "1us",
	} {
		if got := FormatTimeSpan(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

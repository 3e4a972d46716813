package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseTimeSpan reads a time span of systemd.time(7), such as "90", "2min" or
// "1h 30s". A number without a unit is in seconds. It must be positive and at
// most a year. infinity is an error: every wait of recovery has an end.
func ParseTimeSpan(text string) (time.Duration, error) {
	malformed := fmt.Errorf("%q is not a time span such as 90, 2min or 1h 30s", text)
	var nanoseconds float64
	rest := strings.TrimSpace(text)
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, malformed
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzµ"))
		unit, ok := timeUnits[rest[:letters]]
		if !ok {
			return 0, malformed
		}
		nanoseconds += n * float64(unit)
		rest = strings.TrimLeft(rest[letters:], " ")
	}
	const longest = 365 * 24 * time.Hour
	if nanoseconds < 1 || nanoseconds > float64(longest) {
		return 0, fmt.Errorf("%q is not between 0 and a year", text)
	}
	return time.Duration(nanoseconds), nil
}

var timeUnits = map[string]time.Duration{
	"":   time.Second,
	"us": time.Microsecond, "µs": time.Microsecond, "usec": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// FormatTimeSpan writes a time span as systemd does, such as "2min 30s".
// ParseTimeSpan reads it. Parts below a microsecond are lost.
func FormatTimeSpan(d time.Duration) string {
	var words []string
	for _, unit := range []struct {
		name string
		size time.Duration
	}{
		{"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond},
	} {
		if n := d / unit.size; n > 0 {
			words = append(words, fmt.Sprintf("%d%s", n, unit.name))
			d -= n * unit.size
		}
	}
	return strings.Join(words, " ")
}

package timeline

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span formats a duration as systemd-analyze does, with fewer digits the longer
// it is: 812ms, 1.254s, 2min 5.3s, 1h 2min.
func Span(d time.Duration) string {
	if d < 0 {
		return "-" + Span(-d)
	}
	switch { // round first: 59.96s becomes 1min
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < 10*time.Second:
	case d < time.Hour:
		d = d.Round(100 * time.Millisecond)
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return decimals(d.Seconds(), 3) + "s"
	case d < time.Minute:
		return decimals(d.Seconds(), 1) + "s"
	case d < time.Hour:
		return joinUnits(int64(d/time.Minute), "min", decimals((d%time.Minute).Seconds(), 1), "s")
	}
	d = d.Round(time.Minute)
	return joinUnits(int64(d/time.Hour), "h", strconv.FormatInt(int64(d%time.Hour/time.Minute), 10), "min")
}

func joinUnits(big int64, bigUnit, small, smallUnit string) string {
	text := strconv.FormatInt(big, 10) + bigUnit
	if small != "0" {
		text += " " + small + smallUnit
	}
	return text
}

// decimals formats a number with at most n decimals and no trailing zeros.
func decimals(f float64, n int) string {
	text := strconv.FormatFloat(f, 'f', n, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

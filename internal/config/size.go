package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeUnits are the suffixes of a size, each 1024 times the one before.
const sizeUnits = "KMGT"

// ParseSize reads a number of bytes as systemd.resource-control(5) has it, such as "512M" or "20G",
// to the base of 1024. It must be positive.
func ParseSize(text string) (int64, error) {
	malformed := fmt.Errorf("%q is not a size such as 512M or 20G", text)
	digits, unit := text, int64(1)
	if text != "" {
		if i := strings.IndexByte(sizeUnits, text[len(text)-1]); i >= 0 {
			digits, unit = text[:len(text)-1], 1<<(10*(i+1))
		}
	}
	if strings.Trim(digits, "0123456789") != "" {
		return 0, malformed
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64/unit {
		return 0, malformed
	}
	return n * unit, nil
}

// FormatSize writes a size with the largest suffix that leaves a whole number. ParseSize reads it.
func FormatSize(n int64) string {
	suffix := ""
	for i := 0; i < len(sizeUnits) && n > 0 && n%1024 == 0; i++ {
		n, suffix = n/1024, sizeUnits[i:i+1]
	}
	return strconv.FormatInt(n, 10) + suffix
}

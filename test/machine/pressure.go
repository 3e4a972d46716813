package machine

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseStall reads a file of /proc/pressure (Documentation/accounting/psi.rst of
// the kernel). It returns how long at least one task has waited for the resource
// since the boot.
func ParseStall(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	_, total, _ := strings.Cut(line, "total=")
	us, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the pressure %q has no total: %w", text, err)
	}
	return time.Duration(us) * time.Microsecond, nil
}

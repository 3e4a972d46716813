// Package pressure reads the kernel's pressure stall information for memory and I/O
// (https://docs.kernel.org/accounting/psi.html).
package pressure

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// A Gauge reads the files of one directory. It implements recover.Gauge.
type Gauge struct{ dir string }

// Host is the gauge of the whole host. Reading it is an error with a kernel that has no pressure
// stall information (CONFIG_PSI=n or psi=0).
var Host = Gauge{"/proc/pressure"}

// Stalls returns how long some task has waited since the boot, for memory and for I/O.
func (g Gauge) Stalls() (s recover.Stalls, err error) {
	for file, total := range map[string]*time.Duration{"memory": &s.Memory, "io": &s.IO} {
		text, err := os.ReadFile(filepath.Join(g.dir, file))
		if err != nil {
			return recover.Stalls{}, err
		}
		if *total, err = someTotal(string(text)); err != nil {
			return recover.Stalls{}, fmt.Errorf("%s: %w", filepath.Join(g.dir, file), err)
		}
	}
	return s, nil
}

// someTotal returns the total of a line such as
// "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345", where it is in microseconds.
func someTotal(text string) (time.Duration, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "some" {
			continue
		}
		for _, f := range fields[1:] {
			if total, ok := strings.CutPrefix(f, "total="); ok {
				us, err := strconv.ParseInt(total, 10, 64)
				return time.Duration(us) * time.Microsecond, err
			}
		}
	}
	return 0, fmt.Errorf("no total in %q", text)
}

package recover

import (
	"fmt"
	"time"
)

// Sentence says how long after its start the container fell, and how it ended. up is
// when it was up.
func (f Fall) Sentence(up time.Time) string {
	return fmt.Sprintf("it fell after %.2f s (%s)", max(0, f.At.Sub(up).Seconds()), f.End())
}

// End says how it ended, such as "exit code 1".
func (f Fall) End() string {
	switch {
	case f.OOMKilled, f.Result == "oom-kill":
		return "out of memory"
	case f.Result == "signal", f.Result == "core-dump":
		return fmt.Sprintf("%s %d", f.Result, f.ExitCode)
	case f.Result == "", f.Result == "success", f.Result == "exit-code":
		return fmt.Sprintf("exit code %d", f.ExitCode)
	}
	return f.Result
}

package config

import (
	"fmt"
	"strings"

	"archy-recovery/internal/recover"
)

// KernelMode reads the mode of recovery from the kernel command line
// (proc_cmdline(5)): archy.recovery=off or archy.recovery=safe. The last one
// counts. Another value is an error, and the mode is then normal.
func KernelMode(commandLine string) (recover.Mode, error) {
	mode := recover.ModeNormal
	var problem error
	for _, word := range strings.Fields(commandLine) {
		value, ok := strings.CutPrefix(word, recover.CommandLineKey+"=")
		if !ok {
			continue
		}
		switch mode, problem = recover.Mode(strings.Trim(value, `"`)), nil; mode {
		case recover.ModeOff, recover.ModeSafe:
		default:
			mode = recover.ModeNormal
			problem = fmt.Errorf("kernel command line: %s is neither %s=off nor %[2]s=safe; ignored",
				word, recover.CommandLineKey)
		}
	}
	return mode, problem
}

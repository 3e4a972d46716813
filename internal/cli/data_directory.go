package cli

import (
	"fmt"
	"os"

	"archy-recovery/internal/config"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/state"
)

// loadConfig reads the configuration of the instance.
func (i Instance) loadConfig() (config.Config, []error) {
	return config.Load(os.DirFS("/"), i.Name())
}

// openDataDirectory opens the data directory for reading. It adds to notes what
// is damaged there.
func (i Instance) openDataDirectory(conf config.Config, notes *[]string) (*state.Reader, error) {
	return state.Read(i.DataDirectory(conf), func(text, file string, err error) {
		*notes = append(*notes, fmt.Sprintf("%s %s: %v", file, text, err))
	})
}

// KernelMode is the mode that the kernel command line asks for
// (proc_cmdline(5)). The mode is normal if there is an error.
func KernelMode() (recover.Mode, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return recover.ModeNormal, fmt.Errorf("cannot read the kernel command line: %w", err)
	}
	return config.KernelMode(string(line))
}

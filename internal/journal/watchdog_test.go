package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

func TestAWatchdogsBootStatus(t *testing.T) {
	for name, c := range map[string]struct {
		status string // none: no watchdog
		want   recover.Cause
	}{
		"it reset the host":            {"32\n", recover.CauseWatchdog},
		"it did, and has a pretimeout": {"544\n", recover.CauseWatchdog},
		"it did not":                   {"0\n", recover.CausePowerLoss},
		"it cannot tell":               {"x\n", recover.CausePowerLoss},
		"there is none":                {"", recover.CausePowerLoss},
	} {
		t.Run(name, func(t *testing.T) {
			sys := t.TempDir()
			if c.status != "" {
				dir := filepath.Join(sys, "watchdog0")
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				for file, text := range map[string]string{"bootstatus": c.status, "identity": "i6300ESB timer\n"} {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			cause, evidence := recover.ExplainHost(recover.BootEnd{Tail: recorded(t, "power-loss"), Next: watchdogResets(sys)})
			if cause != c.want || cause == recover.CauseWatchdog && !strings.Contains(evidence[0].Message, "i6300ESB timer") {
				t.Errorf("cause %s, evidence %+v", cause, evidence)
			}
		})
	}
}

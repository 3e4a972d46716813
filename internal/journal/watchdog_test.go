package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

func TestWatchdogBootStatus(t *testing.T) {
	for name, c := range map[string]struct {
		status string // empty: no watchdog
		want   recover.Cause
	}{
		"reset the host":                 {"32\n", recover.CauseWatchdog},
		"reset the host, pretimeout too": {"544\n", recover.CauseWatchdog},
		"did not reset the host":         {"0\n", recover.CausePowerLoss},
		"status not a number":            {"x\n", recover.CausePowerLoss},
		"no watchdog":                    {"", recover.CausePowerLoss},
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
			cause, evidence := recover.ExplainHost(recover.BootEnd{
				Tail: signsOf(recorded(t, "power-loss"), signOf), Next: watchdogResets(sys)})
			named := len(evidence) > 0 && strings.Contains(evidence[0].Message, "i6300ESB timer")
			if cause != c.want || cause == recover.CauseWatchdog && !named {
				t.Errorf("cause %s, evidence %+v", cause, evidence)
			}
		})
	}
}

package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestHoldOf(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": time.Hour, "30min": 30 * time.Minute, "1h 30min": 90 * time.Minute,
		"90": 90 * time.Second, "1w": 7 * 24 * time.Hour,
		"8d": 0, "1ms": 0, "soon": 0, "-1": 0, "--end": 0, "2h --end": 0,
	} {
		args := strings.Fields(strings.TrimSuffix(text, "--end"))
		end := strings.HasSuffix(text, "--end")
		got, err := holdOf(&cobra.Command{}, args, end)
		if bad := want == 0 && text != "--end"; got != want || (err != nil) != bad {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

package journal

import (
	"context"
	"testing"
	"time"
)

func TestJournalctlFails(t *testing.T) {
	for name, script := range map[string]string{
		"exit status":      "echo 'No journal files were found.' >&2; exit 1",
		"hangs":            "exec sleep 60",
		"endless entries":  "exec yes '{\"MESSAGE\":\"x\"}'",
		"one endless line": "exec tr '\\000' x </dev/zero",
		"signal":           "kill -BUS $$",
	} {
		t.Run(name, func(t *testing.T) {
			r := journalctl(t, script)
			began := time.Now()
			if _, err := r.ServiceEnd(context.Background(), "b"); err == nil {
				t.Error("no error")
			}
			if took := time.Since(began); took > r.limit+2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("not installed", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := NewReader("x.service", 0).ServiceEnd(context.Background(), "b"); err == nil {
			t.Error("no error")
		}
	})
}

func TestLongBoot(t *testing.T) {
	r := journalctl(t, forKernel(`exec yes '{"MESSAGE":"x","_TRANSPORT":"kernel"}'`, `echo '{"MESSAGE":"last words"}'`))
	end, err := r.BootEnd(t.Context(), "a", "b")
	if err != nil || len(end.Next) != headLines {
		t.Errorf("read %d lines of the next boot, %v", len(end.Next), err)
	}
}

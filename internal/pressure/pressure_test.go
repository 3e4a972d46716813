package pressure

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// gauge returns a Gauge of these files.
func gauge(t *testing.T, files map[string]string) Gauge {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Gauge{dir}
}

func TestStalls(t *testing.T) {
	const full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
	good := map[string]string{
		"memory": "some avg10=3.02 avg60=1.50 avg300=0.40 total=2500000\n" + full,
		"io":     "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n" + full,
	}
	got, err := gauge(t, good).Stalls()
	if want := (recover.Stalls{Memory: 2500 * time.Millisecond, IO: time.Millisecond}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name, memory := range map[string]string{
		"empty": "", "no total": "some avg10=0.00\n", "no number": "some total=x\n", "only full": full,
	} {
		bad := map[string]string{"memory": memory, "io": good["io"]}
		if got, err := gauge(t, bad).Stalls(); err == nil || got != (recover.Stalls{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := gauge(t, nil).Stalls(); err == nil {
		t.Error("missing files are no error")
	}
}

// TestHost reads the pressure of this host, if its kernel has that.
func TestHost(t *testing.T) {
	if _, err := Host.Stalls(); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

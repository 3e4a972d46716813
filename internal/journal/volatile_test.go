package journal

import (
	"os"
	"path/filepath"
	"testing"
)

func TestVolatile(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  bool
	}{
		"on disk":   {[]string{"var/log/journal/m/system.journal"}, false},
		"in memory": {[]string{"run/log/journal/m/system.journal"}, true},
		"in memory, with an old one": {
			[]string{"run/log/journal/m/system.journal", "var/log/journal/m/system.journal"}, true},
		"nowhere":                        {nil, true},
		"on disk, of another machine ID": {[]string{"var/log/journal/other/system.journal"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader("x.service", 0)
			r.root = t.TempDir()
			for _, file := range append(c.files, "etc/machine-id") {
				path := filepath.Join(r.root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte("m\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.Volatile(); got != c.want {
				t.Errorf("Volatile reports %v", got)
			}
		})
	}
	t.Run("no machine ID", func(t *testing.T) {
		r := NewReader("x.service", 0)
		r.root = t.TempDir()
		if r.Volatile() {
			t.Error("what is not known is called volatile")
		}
	})
}

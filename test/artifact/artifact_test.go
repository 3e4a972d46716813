package artifact

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTableReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("before\n<begin>\n| a | 1 |\n| b c | 2 |\n<end>\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := Table{file, "<begin>\n", "<end>"}
	table.Replace(t, "a", "3 |")
	table.Replace(t, "d", "4 |")
	table.Replace(t, "b c", "5 |")
	const want = "before\n<begin>\n| a | 3 |\n| b c | 5 |\n| d | 4 |\n<end>\nafter\n"
	if text, err := os.ReadFile(file); err != nil || string(text) != want {
		t.Errorf("the file is %q, %v, want %q", text, err, want)
	}
}

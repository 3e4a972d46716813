package timeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// With TIMELINE_DIR set, the test writes its pictures to that directory, to be
// looked at.
func TestWritePictures(t *testing.T) {
	dir := os.Getenv("TIMELINE_DIR")
	if dir == "" {
		t.Skip("TIMELINE_DIR is not set")
	}
	page := func(r recover.Report) string {
		var html strings.Builder
		if err := HTML(&html, r, time.Time{}); err != nil {
			t.Fatal(err)
		}
		return html.String()
	}
	for name, text := range map[string]string{
		"small.svg":      draw(small(), time.Time{}),
		"fleet30.svg":    draw(fleet(30), time.Time{}),
		"fleet100.svg":   draw(fleet(100), time.Time{}),
		"hung.svg":       draw(hung(), time.Time{}),
		"unfinished.svg": draw(unfinished(), at(6.2)),
		"amended.svg":    draw(amended(), time.Time{}),
		"amended.html":   page(amended()),
		"empty.svg":      draw(report(0.2), time.Time{}),
		"report.html":    page(fleet(30)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

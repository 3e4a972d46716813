package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

const cockpitFiles = "../../packaging/cockpit"

// The page is small, its lines are short, and each file that one names is there.
func TestCockpitFiles(t *testing.T) {
	files, err := os.ReadDir(cockpitFiles)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	named := regexp.MustCompile(`(?:from|import|src=|href=) ?"(?:\./)?([\w.-]+)"`)
	for _, file := range files {
		text := readFile(t, filepath.Join(cockpitFiles, file.Name()))
		for line := range strings.Lines(text) {
			if lines++; len(line) > 121 {
				t.Errorf("%s: a line has %d columns: %s", file.Name(), len(line)-1, line)
			}
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(cockpitFiles, m[1])); err != nil {
				t.Errorf("%s names a file that is not there: %v", file.Name(), err)
			}
		}
	}
	if lines > 1200 {
		t.Errorf("the page has %d lines", lines)
	}
	var manifest struct {
		Menu map[string]struct{ Label string }
	}
	if err := json.Unmarshal([]byte(readFile(t, cockpitFiles+"/manifest.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Menu["index"].Label == "" {
		t.Error("the page is not in Cockpit's menu")
	}
}

// The page takes the same states for lost as the program does.
func TestCockpitStates(t *testing.T) {
	text := readFile(t, cockpitFiles+"/words.js")
	set := func(name string) string {
		m := regexp.MustCompile(`const ` + name + ` = new Set\(\[([^\]]*)\]\)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("words.js has no set %q", name)
		}
		return m[1]
	}
	well, pending := set("well"), set("pending")
	for _, state := range recover.RowStates() {
		quoted := `"` + string(state) + `"`
		if got := strings.Contains(pending, quoted); got != (state.Pending()) {
			t.Errorf("the page takes %s for pending: %t", state, got)
		}
		lost := !strings.Contains(well, quoted) && !strings.Contains(pending, quoted)
		if lost != state.NotRecovered() {
			t.Errorf("the page takes %s for lost: %t", state, lost)
		}
		if lost && !strings.Contains(text, "case "+quoted) {
			t.Errorf("the page has no words for %s", state)
		}
	}
}

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"go.uber.org/goleak"
)

// TestMain fails if tests leave goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The catalog explains only messages that are logged, and the verdict is one.
func TestCatalogOnlyLogged(t *testing.T) {
	text, err := os.ReadFile("../../packaging/systemd/catalog/archy-recovery.catalog")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := os.ReadFile("../../internal/recover/messages.go")
	if err != nil {
		t.Fatal(err)
	}
	explained := 0
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok {
			explained++
			if !strings.Contains(string(messages), `"`+id+`"`) {
				t.Errorf("the catalog explains %s, which is never logged", id)
			}
		}
	}
	if explained == 0 {
		t.Error("the catalog explains nothing")
	}
	if !strings.Contains(string(text), "-- "+recover.MsgVerdict+"\n") {
		t.Error("the verdict is not explained")
	}
}

// The packages' arrows point inward (docs/architecture.md).
func TestArrowsPointInward(t *testing.T) {
	allowed := map[string][]string{
		"recover": {}, "config": {"recover"}, "control": {"recover"}, "podman": {"recover"},
		"state": {"recover"}, "units": {"recover", "podmancmd"}, "podmancmd": {}, "journal": {"recover"}, "sdnotify": {}, "pressure": {"recover"},
		"timeline": {"recover"},
		"cli":      {"recover", "config", "control", "journal", "podman", "state", "timeline", "units"},
	}
	packages, err := os.ReadDir("../../internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		may, ok := allowed[p.Name()]
		if !ok {
			t.Errorf("internal/%s is new: say what it may import", p.Name())
			continue
		}
		files, err := os.ReadDir("../../internal/" + p.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile("../../internal/" + p.Name() + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				name, ok := strings.CutPrefix(strings.TrimSpace(line), `"archy-recovery/internal/`)
				if ok && !slices.Contains(may, strings.TrimSuffix(name, `"`)) {
					t.Errorf("internal/%s/%s imports %s", p.Name(), f.Name(), name)
				}
			}
		}
	}
}

package main

import (
	"os"
	"path/filepath"
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
		"recover": {}, "recover/engine": {"recover"}, "recover/survey": {"recover"}, "recover/recovertest": {"recover", "recover/diagnosis"},
		"recover/diagnosis": {},
		"daemon":            {"recover", "recover/engine", "recover/survey", "recover/diagnosis"},
		"config":            {"recover"}, "control": {"recover", "daemon"}, "podman": {"recover", "labels"},
		"state": {"recover"}, "units": {"recover", "podmancmd"}, "podmancmd": {},
		"journal": {"recover", "recover/diagnosis", "labels"}, "labels": {"recover"}, "logging": {}, "sdnotify": {}, "pressure": {"recover"},
		"timeline": {"recover"},
		"cli":      {"recover", "recover/survey", "config", "control", "journal", "podman", "state", "timeline", "units"},
	}
	err := filepath.WalkDir("../../internal", func(path string, entry os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		room := strings.TrimPrefix(filepath.Dir(path), "../../internal/")
		may, ok := allowed[room]
		if !ok {
			t.Errorf("internal/%s is new: say what it may import", room)
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			name, ok := strings.CutPrefix(strings.TrimSpace(line), `"archy-recovery/internal/`)
			if ok && !slices.Contains(may, strings.TrimSuffix(name, `"`)) {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

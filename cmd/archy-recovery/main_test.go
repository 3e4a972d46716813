package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// TestMain fails if tests leave goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCatalogOnlyLogged checks that the catalog explains only messages that are logged, and that the verdict is
// one of them.
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
			cause := slices.ContainsFunc(diagnosis.Causes(), func(c diagnosis.Cause) bool { return c.MessageID == id })
			if !cause && !strings.Contains(string(messages), `"`+id+`"`) {
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

// mayImport lists the packages of internal, and for each those that it imports.
// docs/architecture.md draws them.
var mayImport = map[string][]string{
	"recover":             {},
	"recover/engine":      {"recover"},
	"recover/survey":      {"recover"},
	"recover/diagnosis":   {},
	"recover/recovertest": {"recover", "recover/diagnosis"},
	"daemon":              {"recover", "recover/diagnosis", "recover/engine", "recover/survey"},
	"units":               {"podmancmd", "recover"},
	"podman":              {"labels", "recover"},
	"journal":             {"labels", "recover", "recover/diagnosis"},
	"state":               {"recover"},
	"pressure":            {"recover"},
	"config":              {"recover"},
	"timeline":            {"recover"},
	"labels":              {"recover"},
	"podmancmd":           {},
	"logging":             {},
	"sdnotify":            {},
	"answerfile":          {},
	"storage":             {"answerfile", "recover"},
	"firewall":            {"recover"},
	"control":             {"daemon", "recover", "timeline"},
	"cli": {
		"answerfile", "config", "control", "firewall", "journal", "podman", "recover", "recover/survey", "state",
		"storage", "timeline", "units",
	},
}

// TestArrowsPointInward checks the imports of the packages, without those of their tests.
func TestArrowsPointInward(t *testing.T) {
	imports := map[string][]string{}
	err := filepath.WalkDir("../../internal", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := strings.TrimPrefix(filepath.Dir(path), "../../internal/")
		may, known := mayImport[room]
		if !known {
			t.Errorf("internal/%s is new: say in mayImport what it may import, and draw it in docs/architecture.md", room)
		}
		for _, spec := range file.Imports {
			name, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "archy-recovery/internal/")
			if !ok {
				continue
			}
			imports[room] = append(imports[room], name)
			if !slices.Contains(may, name) {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room, may := range mayImport {
		for _, name := range may {
			if !slices.Contains(imports[room], name) {
				t.Errorf("internal/%s does not import %s any more: remove that from mayImport", room, name)
			}
		}
	}
}

// TestArrowsDrawn compares the diagram and the table of packages in docs/architecture.md with mayImport.
func TestArrowsDrawn(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var drawn, listed, arrows, rooms []string
	for _, m := range regexp.MustCompile(`(?m)^    ([a-z/]+) --> (.*)$`).FindAllStringSubmatch(string(text), -1) {
		for to := range strings.SplitSeq(m[2], " & ") {
			drawn = append(drawn, m[1]+" --> "+to)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `internal/([a-z/]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1])
	}
	for room, may := range mayImport {
		rooms = append(rooms, room)
		for _, name := range may {
			arrows = append(arrows, room+" --> "+name)
		}
	}
	for _, list := range [][]string{drawn, listed, arrows, rooms} {
		slices.Sort(list)
	}
	if diff := cmp.Diff(arrows, drawn); diff != "" {
		t.Errorf("the diagram in docs/architecture.md differs from mayImport (-import +drawn):\n%s", diff)
	}
	if diff := cmp.Diff(rooms, listed); diff != "" {
		t.Errorf("the table in docs/architecture.md differs from mayImport (-package +row):\n%s", diff)
	}
}

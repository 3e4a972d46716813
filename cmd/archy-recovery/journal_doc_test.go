package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"archy-recovery/internal/recover/diagnosis"

	"github.com/google/go-cmp/cmp"
)

// messageIDs are the constants of internal/recover/messages.go, without Msg.
func messageIDs(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../internal/recover/messages.go")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\tMsg(\w+) += "([0-9a-f]{32})"`).FindAllStringSubmatch(string(text), -1) {
		ids[m[1]] = m[2]
	}
	if len(ids) == 0 {
		t.Fatal("no message IDs")
	}
	return ids
}

// docs/journal.md lists each message ID, and no others.
func TestJournalDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| (\\w+) \\| `([0-9a-f]{32})` \\| [a-z]")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if documented[m[1]] != "" {
			t.Errorf("%s is listed twice", m[1])
		}
		documented[m[1]] = m[2]
	}
	ids := messageIDs(t)
	if diff := cmp.Diff(ids, documented); diff != "" {
		t.Errorf("logged (-) and in docs/journal.md (+):\n%s", diff)
	}
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	fleet, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`MESSAGE_ID=([0-9a-f]+)`).FindAllStringSubmatch(string(text)+string(fleet), -1) {
		if !known[m[1]] {
			t.Errorf("an example asks for %s, which is never logged", m[1])
		}
	}
}

// The catalog explains each message once (journalctl -x), whatever its level.
func TestCatalogComplete(t *testing.T) {
	text, err := os.ReadFile("../../packaging/systemd/catalog/archy-recovery.catalog")
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range messageIDs(t) {
		if n := strings.Count(string(text), "\n-- "+id+"\n"); n != 1 {
			t.Errorf("%s (%s) has %d entries in the catalog", name, id, n)
		}
	}
}

// The catalog explains each cause of a failed start with the words of the table, and
// docs/failures.md names its message ID.
func TestCatalogOfCauses(t *testing.T) {
	catalog, err := os.ReadFile("../../packaging/systemd/catalog/archy-recovery.catalog")
	if err != nil {
		t.Fatal(err)
	}
	failures, err := os.ReadFile("../../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	_, documented, _ := strings.Cut(string(failures), "\n## Causes\n")
	entries := strings.Split(string(catalog), "\n-- ")
	seen := map[string]string{}
	for _, c := range diagnosis.Causes() {
		if other := seen[c.MessageID]; other != "" || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(c.MessageID) {
			t.Errorf("%s has the message ID %q, as %q", c.ID, c.MessageID, other)
		}
		seen[c.MessageID] = c.ID
		var found []string
		for _, entry := range entries {
			if strings.HasPrefix(entry, c.MessageID+"\n") {
				found = append(found, strings.Join(strings.Fields(entry), " "))
			}
		}
		if len(found) != 1 || !strings.Contains(found[0], " "+c.ID+" ") || !strings.Contains(found[0], c.Means) ||
			!strings.Contains(found[0], c.Advice(diagnosis.Facts{}, nil)) {
			t.Errorf("%s: the catalog should say\n%s\n%s\nand says %q", c.ID, c.Means, c.Advice(diagnosis.Facts{}, nil), found)
		}
		section := "### `" + c.ID + "`\n"
		_, text, _ := strings.Cut(documented, section)
		text, _, _ = strings.Cut(text, "\n### ")
		if !strings.Contains(text, "\nMessage ID: `"+c.MessageID+"`\n") {
			t.Errorf("docs/failures.md does not name the message ID of %s: %s", c.ID, c.MessageID)
		}
	}
}

// Each message ID is used, and each call that logs at warning or above has one,
// so that it can be found and is explained. internal/sdnotify is exempt: when it
// fails, there is usually no journal either.
func TestWarningsHaveMessageID(t *testing.T) {
	used := map[string]bool{}
	var files []string
	for _, pattern := range []string{
		"*.go", "../../internal/cli/*.go", "../../internal/recover/*.go", "../../internal/recover/*/*.go",
		"../../internal/daemon/*.go", "../../internal/control/*.go",
	} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && strings.HasPrefix(id.Name, "Msg") {
				name := strings.TrimPrefix(id.Name, "Msg")
				used[name] = used[name] || filepath.Base(path) != "messages.go"
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || !isWarning(call) {
				return true
			}
			text := source(t, set, path, call)
			if !strings.Contains(text, "MESSAGE_ID") && !strings.Contains(text, "attrs...") {
				t.Errorf("%s: no MESSAGE_ID: %s", set.Position(call.Pos()), text)
			}
			return true
		})
	}
	for name := range messageIDs(t) {
		if !used[name] {
			t.Errorf("nothing is logged as Msg%s", name)
		}
	}
}

// isWarning: log.Warn(…), s.Log.Error(…) and the like.
func isWarning(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name != "Warn" && method.Sel.Name != "Error" {
		return false
	}
	switch on := method.X.(type) {
	case *ast.Ident:
		return on.Name == "log" || on.Name == "l"
	case *ast.SelectorExpr:
		return strings.EqualFold(on.Sel.Name, "log")
	}
	return false
}

func source(t *testing.T, set *token.FileSet, path string, n ast.Node) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset])
}

// Package artifact gives access to the files outside of the test machines: the
// package under test, the recorded journals, and the tables in docs/faults.md.
package artifact

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"archy-recovery/test/machine"
)

// Package returns the path of the Debian package under test. The Makefile sets
// it in $ARCHY_DEB. Without it, the test ends.
func Package(t machine.TB) string {
	t.Helper()
	path := os.Getenv("ARCHY_DEB")
	if path == "" {
		t.Fatalf("ARCHY_DEB does not name the package to test: run `make test`, or another target of the Makefile")
	}
	return path
}

// CockpitPackage returns the path of the package of the Cockpit page, which was built along
// with the package under test.
func CockpitPackage(t machine.TB) string {
	t.Helper()
	name := filepath.Base(Package(t)) // archy-recovery_VERSION_ARCH.deb
	version, _, _ := strings.Cut(strings.TrimPrefix(name, "archy-recovery_"), "_")
	return filepath.Join(filepath.Dir(Package(t)), "archy-recovery-cockpit_"+version+"_all.deb")
}

// Record writes the text that read returns to NAME.json in $ARCHY_RECORD. There
// it becomes test data of internal/journal. It does nothing if ARCHY_RECORD is
// not set.
func Record(t machine.TB, name string, read func() string) {
	t.Helper()
	dir := os.Getenv("ARCHY_RECORD")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(read()), 0o644); err != nil {
		t.Fatalf("record %s: %v", name, err)
	}
}

// A Table is the part of a document that a test writes: the rows between two
// lines that mark its begin and its end.
type Table struct {
	File, Begin, End string
}

// writing serialises the changes of the documents within one process.
var writing sync.Mutex

// Replace replaces the row that begins with "| key |", or adds it at the end.
// cells is the rest of the row.
func (table Table) Replace(t machine.TB, key, cells string) {
	t.Helper()
	writing.Lock()
	defer writing.Unlock()
	text, err := os.ReadFile(table.File)
	if err != nil {
		t.Errorf("write the result: %v", err)
		return
	}
	before, rest, begins := strings.Cut(string(text), table.Begin)
	old, after, ends := strings.Cut(rest, table.End)
	if !begins || !ends {
		t.Errorf("write the result: %s has no lines %q and %q", table.File, table.Begin, table.End)
		return
	}
	rows := replaceRow(strings.SplitAfter(old, "\n"), "| "+key+" | ", cells+"\n")
	changed := before + table.Begin + strings.Join(rows, "") + table.End + after
	if err := os.WriteFile(table.File, []byte(changed), 0o644); err != nil {
		t.Errorf("write the result: %v", err)
	}
}

// replaceRow returns the lines with the row in place of the one with its prefix.
func replaceRow(lines []string, prefix, rest string) []string {
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, prefix) })
	if i >= 0 {
		lines[i] = prefix + rest
		return lines
	}
	// The last element is what follows the last line break: nothing.
	return slices.Insert(lines, len(lines)-1, prefix+rest)
}

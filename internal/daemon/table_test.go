package daemon

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The share of the histories that reach the target may not fall below the row's. CRASH_HISTORIES
// is how many histories are told of each kind, and CRASH_HISTORIES_SEED where their random
// numbers begin. With CRASH_HISTORIES_TABLE the table is written to docs/recovery.md, which
// `make bench` does.
func TestCrashHistories(t *testing.T) {
	n, write := 25, os.Getenv("CRASH_HISTORIES_TABLE") != ""
	if given, err := strconv.Atoi(os.Getenv("CRASH_HISTORIES")); err == nil {
		n = given
	}
	seed, _ := strconv.Atoi(os.Getenv("CRASH_HISTORIES_SEED"))
	var lines []string
	for i, c := range chapters() {
		if only := os.Getenv("CRASH_HISTORIES_ONLY"); only != "" && only != strconv.Itoa(i) {
			continue
		}
		var figures []float64
		missed := 0
		for k := range n {
			tale := c.tell(t, rand.New(rand.NewPCG(uint64(seed), uint64(k))))
			figures = append(figures, tale.figure)
			if tale.failed != "" {
				if missed++; missed <= 3 {
					t.Logf("%s: history %d: %s", c.name, k, tale.failed)
				}
			}
		}
		slices.Sort(figures)
		line := fmt.Sprintf("| %s | %s | %d of %d | %s: %.3g, worst %.3g |", c.name, c.target, n-missed, n,
			c.figure, figures[len(figures)/2], figures[len(figures)-1])
		if float64(n-missed) < c.least*float64(n) {
			t.Errorf("%s: only %d of %d histories reach the target", c.name, n-missed, n)
		}
		lines = append(lines, line)
		t.Log(line)
	}
	if write {
		writeTable(t, lines, fmt.Sprintf("\n%d histories of each kind, seed %d (`make bench`).\n", n, seed))
	}
}

// The table is between these lines.
const (
	tableBegins = "<!-- histories: begin; make bench writes this table -->\n"
	tableEnds   = "<!-- histories: end -->\n"
	tablePage   = "../../docs/recovery.md"
)

// writeTable puts the table into the page.
func writeTable(t *testing.T, lines []string, about string) {
	t.Helper()
	page, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has not the lines that the table is between", tablePage)
	}
	head := "\n| history | target | reached | median and worst |\n|---|---|---|---|\n"
	text := before + tableBegins + head + strings.Join(lines, "\n") + "\n" + about + "\n" + tableEnds + after
	if err := os.WriteFile(tablePage, []byte(text), 0o644); err != nil { //nolint:gosec // a page for everyone
		t.Fatal(err)
	}
}

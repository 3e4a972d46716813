package power

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A tally is what came of the power failures on one file system: a row of the
// table in docs/faults.md.
type tally struct {
	FS                                string
	Seed, Cycles, Cuts                int
	InCommand, InRecovery             int
	FSClean, FilesWhole               int
	PowerLoss, NoJournal              int
	Run, Stopped, Free, Lost, Started int
	Quarantined                       int
}

// count counts a container that is as it must be.
func (c *tally) count(e expectation) {
	switch e {
	case mustRun:
		c.Run++
	case mustNot:
		c.Stopped++
	default:
		c.Free++
	}
}

const (
	report     = "../../docs/faults.md"
	tableBegin = "<!-- power-test writes from here -->"
	tableEnd   = "<!-- to here -->"
)

func (c *tally) row() string {
	return fmt.Sprintf("| %s | %d | %d | %d (%d, %d) | %d | %d | %d, %d | %d, %d | %d, %d | %d | %d |\n",
		c.FS, c.Seed, c.Cycles, c.Cuts, c.InCommand, c.InRecovery, c.FSClean, c.FilesWhole,
		c.PowerLoss, c.NoJournal, c.Run, c.Lost, c.Stopped, c.Started, c.Free, c.Quarantined)
}

// write replaces the file system's row.
func (c *tally) write(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Error(err)
		return
	}
	before, rest, ok := strings.Cut(string(text), tableBegin+"\n")
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Errorf("%s has no place for the table", report)
		return
	}
	old := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(c.FS) + ` \|.*\n`)
	if old.MatchString(table) {
		table = old.ReplaceAllLiteralString(table, c.row())
	} else {
		table += c.row()
	}
	if err := os.WriteFile(report, []byte(before+tableBegin+"\n"+table+tableEnd+after), 0o644); err != nil {
		t.Error(err)
	}
}

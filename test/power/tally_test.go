package power

import (
	"fmt"
	"testing"

	"archy-recovery/test/artifact"
)

// A tally counts the results of the power failures on one file system. It is a row
// of the table in docs/faults.md.
type tally struct {
	FS                                string
	Seed, Cycles, Cuts                int
	InCommand, InRecovery             int
	FSClean, FilesWhole               int
	PowerLoss, NoJournal              int
	Run, Stopped, Free, Lost, Started int
	Quarantined                       int
}

// count counts a container that meets its expectation.
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

// table is the place of the tallies.
var table = artifact.Table{
	File:  "../../docs/faults.md",
	Begin: "<!-- power-test writes from here -->\n",
	End:   "<!-- to here -->",
}

// write replaces the file system's row.
func (c *tally) write(t *testing.T) {
	t.Helper()
	table.Replace(t, c.FS, fmt.Sprintf("%d | %d | %d (%d, %d) | %d | %d | %d, %d | %d, %d | %d, %d | %d | %d |",
		c.Seed, c.Cycles, c.Cuts, c.InCommand, c.InRecovery, c.FSClean, c.FilesWhole,
		c.PowerLoss, c.NoJournal, c.Run, c.Lost, c.Stopped, c.Started, c.Free, c.Quarantined))
}

package recovertest

import (
	"os"
	"regexp"
	"slices"

	"archy-recovery/internal/recover"
)

// DrawnArrows are the arrows that docs/recovery.md draws, sorted: those between the
// states of a row, and those between the phases of a run. root is the path to the
// top of the source.
func DrawnArrows(root string) (rows, phases []string) {
	text, err := os.ReadFile(root + "/docs/recovery.md")
	if err != nil {
		panic(err)
	}
	known := []recover.Phase{recover.Assessing, recover.Recovering, recover.Ready, recover.Stopping}
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z-]+) --> ([a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
		arrow := m[1] + " --> " + m[2]
		if slices.Contains(known, recover.Phase(m[1])) {
			phases = append(phases, arrow)
		} else {
			rows = append(rows, arrow)
		}
	}
	slices.Sort(rows)
	slices.Sort(phases)
	return rows, phases
}

package recover

import (
	"fmt"
	"slices"
	"strconv"
)

// PickReport returns the report that id names: by its number; "last"; or, as
// with journalctl --boot=, 0 for the last one and -1 for the one before it.
func PickReport(reports []Report, id string) (Report, error) {
	if len(reports) == 0 {
		return Report{}, fmt.Errorf("there is no recovery in the history yet")
	}
	if id == "last" || id == "" {
		id = "0"
	}
	n, err := strconv.Atoi(id)
	switch {
	case err != nil:
		return Report{}, fmt.Errorf("%q is not the number of a recovery: see archy-recovery report --list", id)
	case n <= 0 && len(reports)-1+n >= 0:
		return reports[len(reports)-1+n], nil
	}
	i := slices.IndexFunc(reports, func(r Report) bool { return r.ID == n })
	if i < 0 {
		return Report{}, fmt.Errorf("recovery %d is not in the history, which has %d to %d",
			n, reports[0].ID, reports[len(reports)-1].ID)
	}
	return reports[i], nil
}

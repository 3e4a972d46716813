package recover

import "fmt"

// aloneTier stands for all that are started alone.
const aloneTier = MaxTier + 1

// progress is the line that STATUS= shows while recovery goes on.
func progress(rows []Row) string {
	total, up := map[int]int{}, map[int]int{}
	tier, failing := -1, 0
	for _, row := range rows {
		tried := len(row.Attempts) > 0 || row.State == RowWaiting
		if !tried && !row.State.Pending() {
			continue // it was never to be started
		}
		group := row.Tier
		if row.Alone {
			group = aloneTier
		}
		total[group]++
		if tried {
			tier = max(tier, group)
		}
		switch {
		case row.State == RowUp:
			up[group]++
		case row.State == RowFailed, row.State == RowRetrying, row.State.Pending() && len(row.Attempts) > 1:
			failing++
		}
	}
	var line string
	switch {
	case tier < 0:
		return ""
	case tier == aloneTier:
		line = fmt.Sprintf("one at a time: %d of %d started", up[tier], total[tier])
	default:
		line = fmt.Sprintf("tier %d: %d of %d started", tier, up[tier], total[tier])
	}
	if failing > 0 {
		line += fmt.Sprintf(", %d failing", failing)
	}
	return line
}

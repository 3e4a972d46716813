package recover

import "fmt"

// aloneTier stands for all that are started alone.
const aloneTier = MaxTier + 1

// A Progress counts rows, for the line that STATUS= shows while recovery goes on.
// It is kept up to date row by row: to count all rows anew for each change would
// take time that grows with the square of their number.
type Progress struct {
	total, tried, up [aloneTier + 1]int // by tier
	failing, fell    int
	restarting       int
}

// ProgressOf counts rows.
func ProgressOf(rows []Row) (t Progress) {
	for _, row := range rows {
		t.Add(row, 1)
	}
	return t
}

// Add counts a row once more, or with -1 once less.
func (t *Progress) Add(row Row, n int) {
	tried := len(row.Attempts) > 0 || row.State == RowWaiting || row.State == RowNoNetwork
	if !tried && !row.State.Pending() {
		return // it was never to be started
	}
	tier := row.Tier
	if row.Alone {
		tier = aloneTier
	}
	t.total[tier] += n
	if tried {
		t.tried[tier] += n
	}
	switch {
	case row.State == RowUp, row.State == RowDone:
		t.up[tier] += n
	case row.State == RowFell:
		t.fell += n
	case row.State == RowRestarting:
		t.restarting += n
	case row.State == RowFailed, row.State == RowRetrying, row.State.Pending() && len(row.Attempts) > 1:
		t.failing += n
	}
}

// Line says how far the last tier that has begun is; nothing before the first.
func (t *Progress) Line() string {
	tier := aloneTier
	for ; tier >= 0 && t.tried[tier] == 0; tier-- {
	}
	if tier < 0 {
		return ""
	}
	where := fmt.Sprintf("tier %d", tier)
	if tier == aloneTier {
		where = "one at a time"
	}
	line := fmt.Sprintf("%s: %d of %d started", where, t.up[tier], t.total[tier])
	for _, c := range []struct {
		n    int
		word string
	}{{t.failing, "failing"}, {t.fell, "fell"}, {t.restarting, "restarting"}} {
		if c.n > 0 {
			line += fmt.Sprintf(", %d %s", c.n, c.word)
		}
	}
	return line
}

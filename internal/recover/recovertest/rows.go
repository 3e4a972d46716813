package recovertest

import (
	"strings"

	"archy-recovery/internal/recover"
)

// Rows makes rows from words "name:tier".
func Rows(words string) []recover.Row {
	var rs []recover.Row
	for _, w := range strings.Fields(words) {
		name, tier, _ := strings.Cut(w, ":")
		n, err := recover.ParseTier(tier)
		if err != nil {
			panic(err)
		}
		rs = append(rs, recover.Row{Name: name, Unit: name + ".service", Tier: n, State: recover.RowQueued})
	}
	return rs
}

package recover

import "fmt"

// progress is the line that STATUS= shows while recovery goes on.
type progress struct {
	tier    int
	total   map[int]int // rows to start, a tier
	up      map[int]int
	failing int // rows in a later attempt, or given up
}

func newProgress(rows []Row) progress {
	p := progress{total: map[int]int{}, up: map[int]int{}}
	for _, row := range rows {
		if row.State.Pending() {
			p.total[row.Tier]++
		}
	}
	return p
}

func (p *progress) observe(e Event) {
	switch e.Kind {
	case TierStarted:
		p.tier = e.Tier
	case Up:
		p.up[e.Tier]++
		if e.Row.Attempts > 1 {
			p.failing--
		}
	case AttemptFailed:
		p.failing++
	}
}

func (p progress) String() string {
	if len(p.total) == 0 {
		return ""
	}
	line := fmt.Sprintf("tier %d: %d of %d started", p.tier, p.up[p.tier], p.total[p.tier])
	if p.failing > 0 {
		line += fmt.Sprintf(", %d failing", p.failing)
	}
	return line
}

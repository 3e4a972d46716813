package control

import "archy-recovery/internal/recover"

// NowCounts is how many containers of the recovery do what at this moment.
type NowCounts struct {
	Running    int `json:"running"`
	Restarting int `json:"restarting"`
	Down       int `json:"down"`
	Unknown    int `json:"unknown"`
}

// rowsNow returns copies of the rows that say what each container does now, and the
// counts. They are never nil, so that JSON has a list.
func rowsNow(rows []recover.Row, now map[string]recover.NowState) ([]recover.Row, NowCounts) {
	var n NowCounts
	all := make([]recover.Row, len(rows))
	for i, row := range rows {
		switch row.Now = now[row.Name]; row.Now {
		case recover.NowRunning:
			n.Running++
		case recover.NowRestarting:
			n.Restarting++
		case recover.NowDown:
			n.Down++
		default:
			row.Now = recover.NowUnknown
			n.Unknown++
		}
		all[i] = row
	}
	return all, n
}

// NowLine says how many containers recovery started, how many run now, and what
// became of the others. It is empty if recovery started none and none ran already.
func (s Status) NowLine() string {
	now := make(map[string]recover.NowState, len(s.Containers))
	for _, row := range s.Containers {
		now[row.Name] = row.Now
	}
	return recover.NowLine(s.Containers, now)
}

package recover

import (
	"fmt"
	"strings"
)

// maxNamed is how many containers NowLine names: it is one line.
const maxNamed = 6

// NowLine says how many of the rows were started, how many run now, and what became
// of those that were started and do not: "26 started, 25 run now; broken fell after
// 0.02 s (exit code 1)". It is fit for STATUS=. It is empty if none of the rows was
// started or ran already.
func NowLine(rows []Row, now map[string]NowState) string {
	started, active, runs, done, unknown := 0, 0, 0, 0, 0
	var named []string
	for _, row := range rows {
		switch row.State {
		case RowUp, RowFell, RowRestarting:
			started++
		case RowDone:
			started++
			done++
		case RowActive:
			active++
		case RowNoNetwork:
			named = append(named, row.Trouble(now[row.Name]))
			continue
		default:
			if now[row.Name] == NowRunning { // someone else started it
				runs++
			}
			continue
		}
		switch now[row.Name] {
		case NowRunning:
			runs++
		case NowRestarting, NowDown:
		default:
			if row.State != RowDone {
				unknown++
			}
		}
		if trouble := row.Trouble(now[row.Name]); trouble != "" {
			named = append(named, trouble)
		}
	}
	if started+active == 0 {
		return ""
	}
	counts := []string{fmt.Sprintf("%d started", started)}
	count := func(n int, word string) {
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, word))
		}
	}
	count(active, "ran already")
	switch {
	case runs == 1:
		count(1, "runs now")
	case runs > 0 || unknown == 0:
		counts = append(counts, fmt.Sprintf("%d run now", runs))
	}
	count(unknown, "unknown now")
	count(done, "done")
	if n := len(named); n > maxNamed {
		named = append(named[:maxNamed-1], fmt.Sprintf("and %d more", n-maxNamed+1))
	}
	return strings.Join(append([]string{strings.Join(counts, ", ")}, named...), "; ")
}

// Trouble says in a few words what became of a container that should run and was not
// recovered, or that does not run now. It is empty if there is no trouble, or not yet.
func (r Row) Trouble(now NowState) string {
	switch r.State {
	case RowFell:
		text := r.Name + " fell"
		if n := len(r.Attempts); n > 0 && r.Attempts[n-1].Fell != nil {
			last := r.Attempts[n-1]
			text = r.Name + strings.TrimPrefix(last.Fell.Sentence(last.Ended), "it")
		}
		if now == NowRunning {
			text += ", and runs again"
		}
		return text
	case RowRestarting:
		if r.Restarts == 1 {
			return r.Name + " is restarting (1 restart)"
		}
		return fmt.Sprintf("%s is restarting (%d restarts)", r.Name, r.Restarts)
	case RowFailed:
		return r.Name + " failed"
	case RowNoNetwork:
		return r.Name + " waits for the network"
	case RowMissing:
		return r.Name + " is missing"
	case RowQuarantined:
		return r.Name + " is quarantined"
	case RowHeld:
		return r.Name + " is held back"
	case RowUp, RowActive:
		switch now {
		case NowDown:
			return r.Name + " is down"
		case NowRestarting:
			return r.Name + " is restarting"
		}
	}
	return ""
}

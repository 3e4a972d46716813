package recover

import (
	"fmt"
	"strings"
)

// maxNamed is how many containers NowLine names: it is one line.
const maxNamed = 6

// NowLine says how many of the rows were started, how many run now, and what became
// of those that were started and do not: "26 started, 25 run now; broken fell after
// 0.02 s (exit code 1)". It is empty if none of the rows was started or ran already.
func NowLine(rows []Row, now map[string]NowState) string {
	n := countNow(rows, now)
	if n.started+n.active == 0 {
		return ""
	}
	counts := []string{fmt.Sprintf("%d started", n.started)}
	count := func(n int, word string) {
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, word))
		}
	}
	count(n.active, "ran already")
	switch {
	case n.runs == 1:
		count(1, "runs now")
	case n.runs > 0 || n.unknown == 0:
		counts = append(counts, fmt.Sprintf("%d run now", n.runs))
	}
	count(n.unknown, "unknown now")
	count(n.done, "done")
	var named []string
	for _, row := range rows {
		if trouble := row.Trouble(now[row.Name]); trouble != "" && (ran(row) || row.State == RowNoNetwork) {
			named = append(named, trouble)
		}
	}
	if n := len(named); n > maxNamed {
		named = append(named[:maxNamed-1], fmt.Sprintf("and %d more", n-maxNamed+1))
	}
	return strings.Join(append([]string{strings.Join(counts, ", ")}, named...), "; ")
}

// SummaryNow is Summary. Where another number of containers runs now than was recovered, it says
// how many were up, and how many run now. It is fit for STATUS=.
func (r Report) SummaryNow(now map[string]NowState) string {
	n, states := countNow(r.Rows, now), r.Counts()
	if n.runs == states[RowUp]+states[RowActive] {
		return r.Summary()
	}
	line := r.summary("were up") + fmt.Sprintf("; %d run now", n.runs)
	if n.unknown > 0 {
		line += fmt.Sprintf(", %d unknown", n.unknown)
	}
	return line
}

// nowCounts are numbers of containers.
type nowCounts struct {
	started, active int // by recovery, and before it
	runs, unknown   int // now; unknown of those that were started or active
	done            int // jobs
}

// ran reports whether a row's container was started by recovery, or ran already.
func ran(row Row) bool {
	switch row.State {
	case RowUp, RowFell, RowRestarting, RowDone, RowActive:
		return true
	}
	return false
}

func countNow(rows []Row, now map[string]NowState) (n nowCounts) {
	for _, row := range rows {
		state := now[row.Name]
		if state == NowRunning { // also one that someone else started
			n.runs++
		}
		if !ran(row) {
			continue
		}
		switch row.State {
		case RowActive:
			n.active++
		case RowDone:
			n.done++
			n.started++
			continue
		default:
			n.started++
		}
		switch state {
		case NowRunning, NowRestarting, NowDown:
		default:
			n.unknown++
		}
	}
	return n
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

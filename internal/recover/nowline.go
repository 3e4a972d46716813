package recover

import (
	"fmt"
	"strconv"
	"strings"

	"time"
)

// maxTroubles is how many containers NowLine names: it is one line.
const maxTroubles = 3

// NowLine says how many of the rows were started, how many run now, and what became
// of the others: "26 started, 25 run now; broken fell after 0.02 s (exit code 1)". It
// is empty if none of the rows was started or ran already.
func NowLine(rows []Row, now map[string]NowState) string {
	started, active, runs, done, unknown := 0, 0, 0, 0, 0
	var troubles []string
	for _, row := range rows {
		switch row.State {
		case RowUp, RowFell, RowRestarting:
			started++
		case RowDone:
			started++
			done++
		case RowActive:
			active++
		}
		state := now[row.Name]
		switch {
		case state == NowRunning:
			runs++
		case row.ranAtREADY() && state != NowDown && state != NowRestarting:
			unknown++
		}
		if trouble := row.Trouble(state); trouble != "" {
			troubles = append(troubles, trouble)
		}
	}
	if started+active == 0 {
		return ""
	}
	line := fmt.Sprintf("%d started", started)
	if active > 0 {
		line += fmt.Sprintf(", %d ran already", active)
	}
	switch {
	case runs == 0 && unknown > 0:
		line += fmt.Sprintf(", %d unknown now", unknown)
	case runs == 1:
		line += ", 1 runs now"
	default:
		line += fmt.Sprintf(", %d run now", runs)
	}
	if runs > 0 && unknown > 0 {
		line += fmt.Sprintf(", %d unknown", unknown)
	}
	if done > 0 {
		line += fmt.Sprintf(", %d done", done)
	}
	if n := len(troubles); n > maxTroubles {
		troubles = append(troubles[:maxTroubles-1], fmt.Sprintf("and %d more", n-maxTroubles+1))
	}
	return strings.Join(append([]string{line}, troubles...), "; ")
}

// ranAtREADY reports whether the row's container should run now.
func (r Row) ranAtREADY() bool { return r.State == RowUp || r.State == RowActive }

// Trouble says in a few words what became of a container that should run and was
// not recovered, or does not run now. It is empty if there is no trouble, or not yet.
func (r Row) Trouble(now NowState) string {
	switch r.State {
	case RowFell:
		text := r.Name + " fell" + r.fallText()
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
	case RowMissing:
		return r.Name + " is missing"
	case RowQuarantined:
		return r.Name + " is quarantined"
	case RowHeld:
		return r.Name + " is held back"
	}
	switch {
	case r.ranAtREADY() && now == NowDown:
		return r.Name + " is down"
	case r.ranAtREADY() && now == NowRestarting:
		return r.Name + " is restarting"
	}
	return ""
}

// fallText says when and how the container fell: " after 0.02 s (exit code 1)".
func (r Row) fallText() string {
	n := len(r.Attempts)
	if n == 0 || r.Attempts[n-1].Fell == nil {
		return ""
	}
	a := r.Attempts[n-1]
	return fmt.Sprintf(" after %s (%s)", lasted(a.Fell.At.Sub(a.Ended)), a.Fell.How())
}

// How says in a few words how the container ended: "exit code 1".
func (f Fall) How() string {
	switch {
	case f.OOMKilled || f.Result == "oom-kill":
		return "out of memory"
	case f.Result == "" || f.Result == "exit-code" || f.Result == "success":
		return fmt.Sprintf("exit code %d", f.ExitCode)
	}
	return f.Result
}

// lasted formats how long a container was up, in seconds.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		d = max(d.Round(10*time.Millisecond), 10*time.Millisecond)
	case d < 10*time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

package timeline

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

var began = time.Date(2026, 11, 23, 1, 42, 21, 0, time.UTC)

func at(seconds float64) time.Time {
	return began.Add(time.Duration(seconds * float64(time.Second)))
}

// try is an attempt, with times in seconds since the recovery's start. A negative
// end leaves the attempt under way.
func try(from, to float64, why string) recover.Attempt {
	a := recover.Attempt{Started: at(from), Error: why}
	if to >= 0 {
		a.Ended = at(to)
	}
	if why != "" {
		a.Result = "exit-code"
	}
	return a
}

func row(name string, tier int, state recover.RowState, queued float64, attempts ...recover.Attempt) recover.Row {
	r := recover.Row{
		Name: name, Image: "localhost/" + name, Unit: name + ".service", Tier: tier, State: state, Attempts: attempts,
	}
	if queued >= 0 {
		r.Queued = at(queued)
	}
	if n := len(attempts); n > 0 && state != recover.RowUp {
		r.Error = attempts[n-1].Error
	}
	return r
}

func report(finished float64, rows ...recover.Row) recover.Report {
	r := recover.Report{
		ID: 12, BootID: "0dc02c0315f14c9bb7dcf9b1a6e2d9aa", Started: began, Rows: rows,
		Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: "power-loss",
			Reason:   "the last run (PID 144) was under way in boot 5a1f77e09c4d4e2f8b1f0a7f3b0c9d11, which is over",
			Previous: &recover.Identity{BootID: "5a1f77e09c4d4e2f8b1f0a7f3b0c9d11", PID: 144},
			Evidence: []recover.Entry{{Cursor: "s=1;i=2;b=3", Time: at(-90), Message: "the journal just stops"}}},
	}
	if finished >= 0 {
		r.Finished = at(finished)
	}
	return r
}

const exited = "start job: failed; unit failed (exit-code 2)"

// small is the demo's recovery: one container fails, one succeeds at its second
// attempt.
func small() recover.Report {
	return report(17.6,
		row("btcpay-db", 0, recover.RowUp, 0.3, try(0.32, 1.42, "")),
		row("bitcoin-knots", 1, recover.RowUp, 1.75, try(1.76, 3.41, "")),
		row("lnd", 2, recover.RowUp, 3.41, try(3.42, 4.1, exited), try(14.1, 15.3, "")),
		row("electrs", 2, recover.RowUp, 3.41, try(3.42, 4.44, "")),
		row("nextcloud", 3, recover.RowFailed, 4.5, try(4.52, 6.37, exited), try(16.37, 17.58, exited)),
	)
}

// fleet is a recovery of about n containers in which all kinds of segment occur.
func fleet(n int) recover.Report {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var rows []recover.Row
	now, end := 0.4, 0.0
	place := 0
	for tier := range 5 {
		begin := now
		for i := range max(1, n/5) {
			wait := float64(i/8) * 1.5
			from := begin + wait + random.Float64()*0.2
			took := 0.4 + random.ExpFloat64()*1.2
			name := fmt.Sprintf("%s-%d", []string{"db", "bitcoin", "indexer", "app", "web-ui"}[tier], i)
			r := row(name, tier, recover.RowUp, begin, try(from, from+took, ""))
			switch place++; {
			case place%17 == 5:
				r = row(name, tier, recover.RowUp, begin, try(from, from+0.7, exited), try(from+10.7, from+10.7+took, ""))
			case place%23 == 7:
				r = row(name, tier, recover.RowFailed, begin, try(from, from+0.7, exited), try(from+10.7, from+11.9, exited))
			case place%29 == 11:
				long := "a-container-with-a-very-long-name-that-nobody-would-type-" + name
				r = row(long, tier, recover.RowUp, begin, try(from, from+took, ""))
			case place%31 == 13:
				r = row(name, tier, recover.RowDeferred, begin,
					try(from, from+0.1, "the unit is ordered after archy-recovery and starts once that is ready"))
			case place%37 == 14:
				r = row(name, tier, recover.RowUp, begin,
					try(from, from+0.7, "it needs db-1.service, which did not start"), try(from+6, from+6+took, ""))
				r.Waits = []recover.Wait{{Began: at(from + 0.7), Ended: at(from + 6)}}
			case place%13 == 3:
				r.Stopped = []string{"stopped-app"} // it starts without
			}
			rows = append(rows, r)
			end = max(end, r.Ended().Sub(began).Seconds())
			now = max(now, from+took)
		}
	}
	suspect := row("suspect", 3, recover.RowUp, end, try(end, end+2, ""))
	suspect.Alone, suspect.Strikes = true, 1
	rows = append(rows, suspect)
	for i := range n / 6 {
		rows = append(rows, row(fmt.Sprintf("running-%d", i), 3, recover.RowActive, -1))
	}
	rows = append(rows, row("old-app", 3, recover.RowMissing, -1), row("stopped-app", 3, recover.RowUserStopped, -1),
		row("bad-driver", 3, recover.RowQuarantined, -1))
	for _, name := range []string{"wallet", "explorer"} {
		needs := row(name, 3, recover.RowNeedsStopped, -1)
		needs.Stopped, needs.Error = []string{"stopped-app"}, "needs stopped-app, which you stopped"
		rows = append(rows, needs)
	}
	r := report(end+12, rows...)
	r.Notes = []string{"no snapshot can be read: what was running is not known, only the clean-boot list is started: " +
		strings.Repeat("unexpected end of JSON input ", 9)}
	return r
}

// hung is a recovery in which one container is not up at the deadline.
func hung() recover.Report {
	r := small()
	r.Rows = append(r.Rows, row("jellyfin", 3, recover.RowFailed, 4.5,
		try(4.52, 124.52, "not up within 2m0s"), try(134.52, 314.52, "not up within 3m0s")))
	r.Rows = append(r.Rows, row("photos", 3, recover.RowFailed, 4.5))
	r.Rows[6].Error = "not up when recovery ended at its deadline of 15m0s: waits for a mount: /mnt/photos is not mounted"
	r.Rows[6].Waits = []recover.Wait{{Began: at(4.6), Ended: at(900)}}
	r.Finished = at(900)
	return r
}

// unfinished is a recovery under way.
func unfinished() recover.Report {
	r := report(-1,
		row("btcpay-db", 0, recover.RowUp, 0.3, try(0.32, 1.42, "")),
		row("lnd", 2, recover.RowRetrying, 3.41, try(3.42, 4.1, exited)),
		row("electrs", 2, recover.RowStarting, 3.41, try(3.42, -1, "")),
		row("photos", 2, recover.RowWaiting, 3.41),
		row("nextcloud", 3, recover.RowQueued, -1),
	)
	r.Rows[3].Waits = []recover.Wait{{Began: at(3.5)}}
	return r
}

// amended is a recovery in which containers fell, restart, and jobs ended.
func amended() recover.Report {
	fell := func(a recover.Attempt, when float64, code int) recover.Attempt {
		a.Fell = &recover.Fall{At: at(when), ExitCode: code, Result: "exit-code"}
		a.Error = a.Fell.Sentence(a.Ended)
		return a
	}
	r := report(17.6,
		row("btcpay-db", 0, recover.RowUp, 0.3, try(0.32, 1.42, "")),
		row("bitcoin-knots", 1, recover.RowUp, 1.75, try(1.76, 3.41, "")),
		row("lnd", 2, recover.RowUp, 3.41, fell(try(3.42, 4.1, ""), 5.2, 1), try(15.2, 16.3, "")),
		row("electrs", 2, recover.RowRestarting, 3.41, fell(try(3.42, 4.44, ""), 6.2, 101)),
		row("mempool", 2, recover.RowUp, 3.41, fell(try(3.42, 4.44, ""), 9.5, 1)),
		row("broken", 3, recover.RowFell, 4.5, fell(try(4.52, 4.71, ""), 4.74, 1), fell(try(14.74, 14.9, ""), 14.92, 1)),
		row("nextcloud", 3, recover.RowFell, 4.5, fell(try(4.52, 17.58, ""), 29.1, 137)),
		row("grafana", 3, recover.RowFell, 4.5, fell(try(4.52, 5.2, ""), 14.1, 2)),
		row("backup", 3, recover.RowDone, 4.5, try(4.52, 4.8, "")),
		row("cleanup", 3, recover.RowFell, 4.5, fell(try(4.52, 4.9, ""), 4.9, 1)),
	)
	find := func(name string) *recover.Row {
		for i := range r.Rows {
			if r.Rows[i].Name == name {
				return &r.Rows[i]
			}
		}
		panic(name)
	}
	find("electrs").Restarts, find("electrs").Error = 4, find("electrs").Attempts[0].Error
	find("mempool").Restarts, find("grafana").Restarts = 2, 5
	find("backup").Job, find("cleanup").Job = true, true
	find("backup").Attempts[0].Done = at(25)
	find("broken").Attempts[1].Why = &recover.Explanation{Reason: "bind-source",
		Cause: "The source of a bind mount is not there: /mnt/photos.", Advice: "Mount the disk, or create the directory.",
		Output: []string{"Error: statfs /mnt/photos: no such file or directory", "second line"}}
	return r
}

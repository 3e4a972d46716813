package recover

import (
	"testing"
	"time"
)

func TestNowLine(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	up := func(name string) Row {
		return Row{Name: name, State: RowUp, Attempts: []Attempt{{Started: began, Ended: began.Add(time.Second)}}}
	}
	fell := func(name string, after time.Duration, fall Fall) Row {
		r := up(name)
		fall.At = r.Attempts[0].Ended.Add(after)
		r.State, r.Attempts[0].Fell = RowFell, &fall
		return r
	}
	restarting := up("app")
	restarting.State, restarting.Restarts = RowRestarting, 12
	done := up("backup")
	done.Job, done.State = true, RowDone
	active := Row{Name: "old", State: RowActive}
	runs := func(names ...string) map[string]NowState {
		now := map[string]NowState{}
		for _, name := range names {
			now[name] = NowRunning
		}
		return now
	}
	down := map[string]NowState{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		down[name] = NowDown
	}
	for name, c := range map[string]struct {
		rows []Row
		now  map[string]NowState
		want string
	}{
		"nothing was started": {[]Row{{Name: "x", State: RowUserStopped}}, nil, ""},
		"all run":             {[]Row{up("db"), up("web")}, runs("db", "web"), "2 started, 2 run now"},
		"one fell": {[]Row{up("db"), fell("broken", 20*time.Millisecond, Fall{ExitCode: 1, Result: "exit-code"})},
			map[string]NowState{"db": NowRunning, "broken": NowDown},
			"2 started, 1 runs now; broken fell after 0.02 s (exit code 1)"},
		"a fall without a unit": {[]Row{fell("a", 1340*time.Millisecond, Fall{ExitCode: 137})},
			map[string]NowState{"a": NowDown}, "1 started, 0 run now; a fell after 1.34 s (exit code 137)"},
		"a fall for want of memory": {[]Row{fell("a", 12*time.Second, Fall{ExitCode: 137, OOMKilled: true})},
			map[string]NowState{"a": NowDown}, "1 started, 0 run now; a fell after 12.00 s (out of memory)"},
		"a fall by the watchdog": {[]Row{fell("a", 0, Fall{Result: "watchdog"})},
			map[string]NowState{"a": NowDown}, "1 started, 0 run now; a fell after 0.00 s (watchdog)"},
		"it fell and runs again": {[]Row{fell("a", time.Second, Fall{ExitCode: 1})}, runs("a"),
			"1 started, 1 runs now; a fell after 1.00 s (exit code 1), and runs again"},
		"one restarts": {[]Row{restarting}, map[string]NowState{"app": NowRestarting},
			"1 started, 0 run now; app is restarting (12 restarts)"},
		"one is down later": {[]Row{up("db"), up("web")}, map[string]NowState{"db": NowRunning, "web": NowDown},
			"2 started, 1 runs now; web is down"},
		"one restarts later": {[]Row{up("web")}, map[string]NowState{"web": NowRestarting},
			"1 started, 0 run now; web is restarting"},
		"one ran already": {[]Row{up("db"), active}, runs("db", "old"), "1 started, 1 ran already, 2 run now"},
		"a job is done":   {[]Row{up("db"), done}, runs("db"), "2 started, 1 runs now, 1 done"},
		"one is unknown": {[]Row{up("db"), up("web")}, map[string]NowState{"db": NowRunning, "web": NowUnknown},
			"2 started, 1 runs now, 1 unknown now"},
		"no look yet": {[]Row{up("db"), up("web")}, nil, "2 started, 2 unknown now"},
		"others were not started": {[]Row{up("db"), {Name: "a", State: RowFailed}, {Name: "b", State: RowMissing},
			{Name: "c", State: RowQuarantined}}, runs("db"), "1 started, 1 runs now"},
		"someone started a failed one": {[]Row{up("db"), {Name: "a", State: RowFailed}}, runs("a", "db"),
			"1 started, 2 run now"},
		"too many to name": {[]Row{up("a"), up("b"), up("c"), up("d"), up("e"), up("f"), up("g")}, down,
			"7 started, 0 run now; a is down; b is down; c is down; d is down; e is down; and 2 more"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := NowLine(c.rows, c.now); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// STATUS= says how recovery went, and how many run now where that is another number.
func TestSummaryNow(t *testing.T) {
	r := reportOf("a:up b:up c:active d:failed")
	const summary = "complete with 1 not recovered: 3 of 4 containers "
	run, down, unknown := NowRunning, NowDown, NowUnknown
	for want, now := range map[string]map[string]NowState{
		"run; 1 failed":                           {"a": run, "b": run, "c": run, "d": down},
		"were up; 1 failed; 2 run now":            {"a": run, "b": down, "c": run},
		"were up; 1 failed; 1 run now, 1 unknown": {"a": run, "b": down, "c": unknown},
		"were up; 1 failed; 4 run now":            {"a": run, "b": run, "c": run, "d": run}, // someone started it
	} {
		if got := r.SummaryNow(now); got != summary+want {
			t.Errorf("got  %q\nwant %q", got, summary+want)
		}
	}
}

func TestRowTrouble(t *testing.T) {
	for state, want := range map[RowState]string{
		RowFailed: "a failed", RowMissing: "a is missing", RowQuarantined: "a is quarantined", RowHeld: "a is held back",
		RowNoNetwork: "a waits for the network",
		RowFell:      "a fell", RowRestarting: "a is restarting (0 restarts)",
		RowUserStopped: "", RowNeedsStopped: "", RowSkipped: "", RowDeferred: "", RowDone: "", RowQueued: "",
		RowUp: "a is down",
	} {
		if got := (Row{Name: "a", State: state}).Trouble(NowDown); got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
	signal := Fall{Result: "signal", ExitCode: 9}
	if got := signal.End(); got != "signal 9" {
		t.Errorf("a signal is %q", got)
	}
}

package cli

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// trouble is a status after READY, in which db runs and all else has gone wrong.
func trouble() control.Status {
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	st := control.Status{Instance: "system", State: recover.Ready, RecoveryComplete: true, Started: begin,
		Finished: at(16), Progress: "complete with 4 not recovered: 1 of 5 containers run",
		Now: control.NowCounts{Running: 1, Restarting: 1, Down: 3}}
	st.Containers = []recover.Row{
		{Name: "db", State: recover.RowUp, Now: recover.NowRunning,
			Attempts: []recover.Attempt{{Started: begin, Ended: at(1.5)}}},
		{Name: "broken", State: recover.RowFell, Now: recover.NowDown, Error: "it ended after 0.02 s",
			Attempts: []recover.Attempt{
				{Started: begin, Ended: at(1), Result: "exit-code", Error: "it ended after 0.03 s",
					Fell: &recover.Fall{At: at(1.03), ExitCode: 1},
					Why:  &recover.Explanation{Output: []string{"first try"}}},
				{Started: at(12), Ended: at(13), Result: "exit-code", Error: "it ended after 0.02 s",
					Fell: &recover.Fall{At: at(13.02), ExitCode: 1, Result: "exit-code"},
					Why: &recover.Explanation{Reason: "exit-code", Cause: "its program ended with exit code 1",
						Advice: "Read its output.", Output: []string{"no \x1b[2Jconfig", "exiting"}}},
			}},
		{Name: "app", State: recover.RowRestarting, Now: recover.NowRestarting, Restarts: 3,
			Attempts: []recover.Attempt{{Started: begin, Ended: at(1)}}},
		{Name: "web", State: recover.RowFailed, Now: recover.NowDown, Error: "podman said \x1b]0;evil\a",
			Attempts: []recover.Attempt{{Started: begin, Ended: at(2), Result: "exit-code", Error: "x"}}},
		{Name: "gone", State: recover.RowMissing, Now: recover.NowDown,
			Error: "neither podman nor a unit knows it"},
		{Name: "old", State: recover.RowUserStopped, Now: recover.NowDown},
	}
	return st
}

func TestStatusSaysNow(t *testing.T) {
	fakeDaemon(t, map[string]any{"status": trouble()})
	code, stdout, stderr := runVerb(t, "status", "-n", "0")
	if code != ExitOK || stderr != "" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	first, rest, _ := strings.Cut(stdout, "\n")
	if want := "archy-recovery (system): ready, 3 started, 1 runs now; broken fell after 0.02 s (exit code 1); " +
		"app is restarting (3 restarts)"; first != want {
		t.Errorf("the first line is\n%q, want\n%q", first, want)
	}
	text := compact(rest)
	for _, want := range []string{
		"Recovery: complete with 4 not recovered: 1 of 5 containers run; took 16s, at ",
		"TIER CONTAINER STATE TRIES TOOK NOW UNIT NOTE",
		"0 db up 1 1.5s running -",
		"0 broken fell 2 13s down - its program ended with exit code 1. Read its output.",
		"0 app restarting 1 1s restarting - app is restarting (3 restarts)",
		"0 web failed 1 2s down - podman said �]0;evil�",
		"0 gone missing 0 - down - neither podman nor a unit knows it",
		"0 old user-stopped 0 - down",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, rest)
		}
	}
	if strings.ContainsAny(stdout, "\x1b\a") {
		t.Errorf("control characters are printed: %q", stdout)
	}
}

// A narrow terminal gets the notes below the table, to the end.
func TestStatusNarrow(t *testing.T) {
	t.Setenv("COLUMNS", "60")
	fakeDaemon(t, map[string]any{"status": trouble()})
	_, stdout, _ := runVerb(t, "status", "-n", "0")
	if !strings.Contains(compact(stdout), "broken: its program ended with exit code 1. Read its output.") {
		t.Errorf("the note is cut:\n%s", stdout)
	}
	for line := range strings.Lines(stdout) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 60 {
			t.Errorf("a line of %d letters: %q", n, line)
		}
	}
}

// During recovery the first line says how far it is.
func TestStatusDuringRecovery(t *testing.T) {
	st := trouble()
	st.State, st.RecoveryComplete, st.Progress = recover.Recovering, false, "tier 1: 3 of 5 started"
	fakeDaemon(t, map[string]any{"status": st})
	_, stdout, _ := runVerb(t, "status", "-n", "0")
	if !strings.HasPrefix(stdout, "archy-recovery (system): recovering, tier 1: 3 of 5 started\n") {
		t.Errorf("the first line is %.200q", stdout)
	}
}

// wait names what was not recovered, and why, as the report stands when it is asked.
func TestWaitNamesNotRecovered(t *testing.T) {
	fakeDaemon(t, map[string]any{"events": []control.Status{trouble()}})
	code, stdout, stderr := runVerb(t, "wait")
	want := "broken fell after 0.02 s (exit code 1): its program ended with exit code 1. Read its output.\n" +
		"app is restarting (3 restarts)\n" +
		"web failed: podman said �]0;evil�\n" +
		"gone is missing: neither podman nor a unit knows it\n"
	if code != ExitNotRecovered || stdout != "recovery complete with 4 not recovered: 1 of 5 containers run\n" ||
		stderr != want {
		t.Errorf("exit code %d, %q,\n%s want\n%s", code, stdout, stderr, want)
	}
}

// What is not to run, and a job that has ended, do not count.
func TestWaitAllRecovered(t *testing.T) {
	st := control.Status{State: recover.Ready, RecoveryComplete: true, Progress: "complete"}
	for _, state := range []recover.RowState{recover.RowUp, recover.RowActive, recover.RowDone, recover.RowDeferred,
		recover.RowSkipped, recover.RowUserStopped, recover.RowNeedsStopped} {
		st.Containers = append(st.Containers, recover.Row{Name: string(state), State: state})
	}
	fakeDaemon(t, map[string]any{"events": []control.Status{st}})
	if code, _, stderr := runVerb(t, "wait"); code != ExitOK || stderr != "" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// A report quotes what was written for each failed attempt, without control
// characters.
func TestReportOutput(t *testing.T) {
	st := trouble()
	report := reportOf(st)
	report.ID = 7
	long := make([]string, 0, 30)
	for range 30 {
		long = append(long, "line")
	}
	long[0] = "too early"
	report.Rows[3].Attempts[0].Why = &recover.Explanation{Output: long}
	fakeDaemon(t, map[string]any{"status": control.Status{State: recover.Ready, RecoveryComplete: true},
		"recoveries": control.Recoveries{Recoveries: []recover.Report{report}}})
	_, stdout, _ := runVerb(t, "report")
	for _, want := range []string{
		"Output of broken, attempt 1:\n  first try\n",
		"Output of broken, attempt 2:\n  no �[2Jconfig\n  exiting\n",
		"Output of web, attempt 1:\n  (10 earlier lines)\n  line\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	text := compact(stdout)
	for _, want := range []string{
		"broken 0 - 2 - 0ms 13s 13s fell (exit code 1) its program ended with exit code 1. Read its output.",
		"app 0 - 1 - 0ms 1s 1s restarting",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "too early") || strings.ContainsAny(stdout, "\x1b\a") {
		t.Errorf("it is not bounded, or not clean:\n%q", stdout)
	}
	_, stdout, _ = runVerb(t, "report", "--list")
	if want := "1 started, 1 fell, 1 restarting, 1 failed, 1 missing, 1 user-stopped"; !strings.Contains(stdout, want) {
		t.Errorf("%q is not in\n%s", want, stdout)
	}
}

// The note of a container says when it is tried again, or why not.
func TestRetryNote(t *testing.T) {
	why := &recover.Explanation{Cause: "its disk is not there", Advice: "Mount it."}
	failed := recover.Row{Name: "a", State: recover.RowFailed, Attempts: []recover.Attempt{{Why: why}}}
	for want, change := range map[string]func(r *recover.Row){
		"its disk is not there. Mount it.": func(*recover.Row) {},
		"its disk is not there. Mount it. Tried again in 40s": func(r *recover.Row) {
			r.Retry = &recover.Retry{Next: time.Now().Add(40 * time.Second)}
		},
		"its disk is not there. Mount it. To be tried again now": func(r *recover.Row) {
			r.Retry = &recover.Retry{Next: time.Now()}
		},
		"its disk is not there. Mount it. Not tried again: it is a job": func(r *recover.Row) {
			r.Retry = &recover.Retry{Ended: "it is a job"}
		},
		"":               func(r *recover.Row) { r.State, r.Retry = recover.RowActive, &recover.Retry{Tries: 3} },
		"it was removed": func(r *recover.Row) { r.State, r.Error = recover.RowUserStopped, "it was removed" },
		"waits for a disk": func(r *recover.Row) {
			r.State, r.Error, r.Retry = recover.RowWaiting, "waits for a disk", &recover.Retry{}
		},
	} {
		row := failed
		change(&row)
		if got := note(row); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

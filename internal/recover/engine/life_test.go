package engine

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// runs is the outcome of each of a job's starts.
func runs(o recover.Outcome) recovertest.Behavior {
	return func(context.Context, int) (recover.Outcome, error) { return o, nil }
}

func TestFollow(t *testing.T) {
	failedAt := func(n int, late time.Duration) recovertest.Behavior { // slow, so that READY comes later
		return func(ctx context.Context, attempt int) (recover.Outcome, error) {
			o, err := recovertest.UpAfter(late)(ctx, attempt)
			if attempt == n {
				o = recovertest.Failed
			}
			return o, err
		}
	}
	failedJob := recover.Outcome{Job: "failed", Result: "exit-code", ExitStatus: 1,
		UnitState: recover.UnitState{Loaded: true, Active: "failed"}}
	doneJob := recover.Outcome{Job: "done", Result: "success",
		UnitState: recover.UnitState{Loaded: true, Active: "inactive"}}
	waitsForRestart := recover.Outcome{Job: "failed", Result: "exit-code", ExitStatus: 1,
		UnitState: recover.UnitState{Loaded: true, Active: "activating", Sub: "auto-restart"}}
	for name, c := range map[string]struct {
		rows   string
		jobs   string
		behave map[string]recovertest.Behavior
		lives  map[string][][]moment
		want   []string
		states string
	}{
		"all last": {
			rows: "a:0", want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 READY", " 20.0 end"}, states: "a:up",
		},
		"a fall after READY only amends": {
			rows: "a:0", lives: map[string][][]moment{"a": {{ended(0.5, 1)}}},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 READY", "  0.5 fell a 1", "  0.5 end"}, states: "a:fell",
		},
		"a fall before READY has a second attempt": {
			rows: "a:0 slow:1", lives: map[string][][]moment{"a": {{ended(0.5, 1)}, {}}},
			behave: map[string]recovertest.Behavior{"slow": recovertest.UpAfter(2 * time.Second)},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 starting slow 1", "  0.5 attempt-failed a 1",
				"  2.0 up slow 1", " 10.5 starting a 2", " 10.5 up a 2", " 10.5 READY", " 30.5 end"},
			states: "a:up slow:up",
		},
		"a fall in the second attempt is the last": {
			rows: "a:0 slow:1", lives: map[string][][]moment{"a": {{ended(0.5, 1)}, {ended(1, 1)}}},
			behave: map[string]recovertest.Behavior{"slow": recovertest.UpAfter(15 * time.Second)},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 starting slow 1", "  0.5 attempt-failed a 1",
				" 10.5 starting a 2", " 10.5 up a 2", " 11.5 fell a 2", " 15.0 up slow 1", " 15.0 READY", " 35.0 end"},
			states: "a:fell slow:up",
		},
		"a second attempt that fails": {
			rows: "a:0 slow:1", lives: map[string][][]moment{"a": {{ended(0.5, 1)}}},
			behave: map[string]recovertest.Behavior{
				"a": failedAt(2, 0), "slow": recovertest.UpAfter(time.Second)},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 starting slow 1", "  0.5 attempt-failed a 1",
				"  1.0 up slow 1", " 10.5 starting a 2", " 10.5 gave-up a 2", " 10.5 READY", " 21.0 end"},
			states: "a:failed slow:up",
		},
		"what systemd restarts has no second attempt of ours": {
			rows: "a:0 slow:1",
			lives: map[string][][]moment{"a": {{
				lives(0.5, recover.LifeRestarting, 0), lives(1, recover.LifeRuns, 1), ended(3, 1)}}},
			behave: map[string]recovertest.Behavior{"slow": recovertest.UpAfter(5 * time.Second)},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 starting slow 1", "  0.5 restarting a 1",
				"  1.0 restarting a 1", "  3.0 fell a 1", "  5.0 up slow 1", "  5.0 READY", " 25.0 end"},
			states: "a:fell slow:up",
		},
		"a restart that is only counted, and then a soak": {
			rows: "a:0", lives: map[string][][]moment{"a": {{lives(15, recover.LifeRuns, 1)}}},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 READY", " 15.0 restarting a 1",
				" 35.0 up a 1", " 35.0 end"},
			states: "a:up",
		},
		"a long pause before the restart is no soak": {
			rows:  "a:0",
			lives: map[string][][]moment{"a": {{lives(1, recover.LifeRestarting, 0), lives(101, recover.LifeRuns, 1)}}},
			want: []string{"  0.0 starting a 1", "  0.0 up a 1", "  0.0 READY", "  1.0 restarting a 1",
				"101.0 restarting a 1", "121.0 up a 1", "121.0 end"},
			states: "a:up",
		},
		"a start that systemd repeats": {
			rows: "a:0 app:1", behave: map[string]recovertest.Behavior{"a": runs(waitsForRestart)},
			lives: map[string][][]moment{"a": {{lives(0, recover.LifeRestarting, 0), ended(30, 1)}}},
			want: []string{"  0.0 starting a 1", "  0.0 restarting a 1", "  0.0 starting app 1", "  0.0 up app 1",
				"  0.0 READY", " 30.0 fell a 1", " 30.0 end"},
			states: "a:fell app:up",
		},
		"stopped on purpose": {
			rows: "a:0 b:0", lives: map[string][][]moment{"a": {{lives(2, recover.LifeStopped, 0)}},
				"b": {{lives(1, recover.LifeRestarting, 0), lives(3, recover.LifeStopped, 0)}}},
			want: []string{"  0.0 starting a 1", "  0.0 starting b 1", "  0.0 up a 1", "  0.0 up b 1", "  0.0 READY",
				"  1.0 restarting b 1", "  2.0 skipped a 1", "  3.0 skipped b 1", "  3.0 end"},
			states: "a:user-stopped b:user-stopped",
		},
		"systemd stopped it because of another unit": {
			rows: "a:0 b:0 slow:1", lives: map[string][][]moment{"a": {{along(2)}},
				"b": {{lives(1, recover.LifeRestarting, 0), along(3)}}},
			behave: map[string]recovertest.Behavior{"slow": recovertest.UpAfter(5 * time.Second)},
			want: []string{"  0.0 starting a 1", "  0.0 starting b 1", "  0.0 up a 1", "  0.0 up b 1", "  0.0 starting slow 1",
				"  1.0 restarting b 1", "  2.0 skipped a 1", "  3.0 skipped b 1", "  5.0 up slow 1", "  5.0 READY", " 25.0 end"},
			states: "a:skipped b:skipped slow:up",
		},
		"what is not known is not failed": {
			rows: "a:0 b:0", lives: map[string][][]moment{
				"a": {{lives(1, recover.LifeUnknown, 0)}}, "b": {{{after: time.Second, err: recover.ErrNoBus}}}},
			want: []string{"  0.0 starting a 1", "  0.0 starting b 1", "  0.0 up a 1", "  0.0 up b 1", "  0.0 READY",
				" 20.0 end"},
			states: "a:up b:up",
		},
		"a fall that is known late": {
			rows: "a:0 b:0", lives: map[string][][]moment{
				"a": {{lives(1, recover.LifeUnknown, 0), ended(4, 137)}},
				"b": {{{after: time.Second, err: recover.ErrNoBus}, ended(4, 137)}}},
			want: []string{"  0.0 starting a 1", "  0.0 starting b 1", "  0.0 up a 1", "  0.0 up b 1", "  0.0 READY",
				"  4.0 fell a 1", " 11.0 fell b 1", " 11.0 end"},
			states: "a:fell b:fell",
		},
		"a job that runs on delays nothing": {
			rows: "job:0 app:1", jobs: "job", behave: map[string]recovertest.Behavior{"job": runs(jobRuns)},
			lives: map[string][][]moment{"job": {{ended(3600, 0)}}},
			want: []string{"  0.0 starting job 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 up job 1",
				"  0.0 READY", "3600.0 ended job 1", "3600.0 end"},
			states: "app:up job:done",
		},
		"a job that hangs before its main process delays nothing": {
			rows: "job:0 app:1", jobs: "job", behave: map[string]recovertest.Behavior{"job": recovertest.Hangs},
			want: []string{"  0.0 starting job 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 READY",
				"120.0 gave-up job 1", "120.0 end"},
			states: "app:up job:failed",
		},
		"a job that fails has no second attempt": {
			rows: "job:0 app:1", jobs: "job", behave: map[string]recovertest.Behavior{
				"job": runs(jobRuns), "app": recovertest.UpAfter(time.Second)},
			lives: map[string][][]moment{"job": {{ended(0.5, 1)}}},
			want: []string{"  0.0 starting job 1", "  0.0 starting app 1", "  0.0 up job 1", "  0.5 fell job 1",
				"  1.0 up app 1", "  1.0 READY", " 21.0 end"},
			states: "app:up job:fell",
		},
		"jobs that end at once": {
			rows: "bad:0 good:0", jobs: "bad good",
			behave: map[string]recovertest.Behavior{"bad": runs(failedJob), "good": runs(doneJob)},
			want: []string{"  0.0 starting bad 1", "  0.0 starting good 1", "  0.0 READY", "  0.0 fell bad 1",
				"  0.0 ended good 1", "  0.0 end"},
			states: "bad:fell good:done",
		},
		"a job that systemd restarts until it is done": {
			rows: "job:0", jobs: "job", behave: map[string]recovertest.Behavior{"job": runs(jobRuns)},
			lives: map[string][][]moment{"job": {{
				lives(1, recover.LifeRestarting, 0), lives(2, recover.LifeRuns, 1), ended(100, 0)}}},
			want: []string{"  0.0 starting job 1", "  0.0 READY", "  0.0 up job 1", "  1.0 restarting job 1",
				"  2.0 restarting job 1", " 22.0 up job 1", "100.0 ended job 1", "100.0 end"},
			states: "job:done",
		},
		"a job that is done while it is restarted": {
			rows: "job:0", jobs: "job", behave: map[string]recovertest.Behavior{"job": runs(jobRuns)},
			lives: map[string][][]moment{"job": {{lives(1, recover.LifeRestarting, 0), ended(5, 0)}}},
			want: []string{"  0.0 starting job 1", "  0.0 READY", "  0.0 up job 1", "  1.0 restarting job 1",
				"  5.0 ended job 1", "  5.0 end"},
			states: "job:done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLifeStarter(recovertest.NewHost())
				for name, f := range c.behave {
					s.h.Start[name+".service"] = f
				}
				for name, attempts := range c.lives {
					s.then(name, attempts...)
				}
				rs := recovertest.Rows(c.rows)
				for i := range rs {
					rs[i].Job = strings.Contains(" "+c.jobs+" ", " "+rs[i].Name+" ")
				}
				got, rows, err := playLives(t.Context(), s, s.h, oncePolicy(), rs, func(Event) {})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(sortMoment(c.want), sortMoment(got)); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				var states []string
				for _, r := range rs {
					states = append(states, r.Name+":"+string(rows[r.Name].State))
				}
				for _, want := range strings.Fields(c.states) {
					if !strings.Contains(" "+strings.Join(states, " ")+" ", " "+want+" ") {
						t.Errorf("states %q, want %s", states, want)
					}
				}
			})
		})
	}
}

// sortMoment sorts the lines of one moment: rows that are independent of each other
// have no order.
func sortMoment(history []string) []string {
	sorted := append([]string(nil), history...)
	for range sorted {
		for i := 1; i < len(sorted); i++ {
			a, b := strings.Fields(sorted[i-1]), strings.Fields(sorted[i])
			if a[0] == b[0] && strings.Join(b, " ") < strings.Join(a, " ") {
				sorted[i-1], sorted[i] = sorted[i], sorted[i-1]
			}
		}
	}
	return sorted
}

// The row says when and how the container fell, and how often it was started again.
func TestRowAfterFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := newLifeStarter(recovertest.NewHost())
		s.then("a", []moment{{after: 20 * time.Millisecond,
			life: recover.Life{State: recover.LifeEnded, ExitCode: 1, Result: "exit-code"}}})
		s.then("b", []moment{lives(1, recover.LifeRestarting, 0), lives(2, recover.LifeRuns, 1),
			lives(3, recover.LifeRestarting, 1), lives(4, recover.LifeRuns, 2), ended(7, 3)})
		s.then("c", []moment{{after: time.Second,
			life: recover.Life{State: recover.LifeEnded, ExitCode: 137, OOMKilled: true}}})
		s.then("d", []moment{{after: time.Second, life: recover.Life{State: recover.LifeEnded, ExitCode: recover.UnknownExit,
			Because: "pod.service has ended"}}})
		rs := recovertest.Rows("a:0 b:0 c:0 d:0")
		_, rows, err := playLives(t.Context(), s, s.h, oncePolicy(), rs, func(Event) {})
		if err != nil {
			t.Fatal(err)
		}
		at := began.Add
		for name, want := range map[string]recover.Row{
			"a": {State: recover.RowFell, Error: "it fell after 0.02 s (exit code 1)", Attempts: []recover.Attempt{{
				Started: began, Ended: began, Result: "exit-code", Error: "it fell after 0.02 s (exit code 1)",
				Fell: &recover.Fall{At: at(20 * time.Millisecond), ExitCode: 1, Result: "exit-code"}}}},
			"b": {State: recover.RowFell, Restarts: 2, Error: "it fell after 7.00 s (exit code 3)",
				Attempts: []recover.Attempt{{Started: began, Ended: began, Result: "success",
					Error: "it fell after 7.00 s (exit code 3)", Fell: &recover.Fall{At: at(7 * time.Second), ExitCode: 3}}}},
			"c": {State: recover.RowFell, Error: "it fell after 1.00 s (out of memory)", Attempts: []recover.Attempt{{
				Started: began, Ended: began, Result: "success", Error: "it fell after 1.00 s (out of memory)",
				Fell: &recover.Fall{At: at(time.Second), ExitCode: 137, OOMKilled: true}}}},
			"d": {State: recover.RowFell, Error: "it fell after 1.00 s (exit code unknown): pod.service has ended",
				Attempts: []recover.Attempt{{Started: began, Ended: began, Result: "success",
					Error: "it fell after 1.00 s (exit code unknown): pod.service has ended",
					Fell:  &recover.Fall{At: at(time.Second), ExitCode: recover.UnknownExit}}}},
		} {
			got := rows[name]
			got.Name, got.Unit, got.Queued = "", "", time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// A crash loop without a pause does not keep the run busy.
func TestRestartLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		var loop []moment
		for i := range 1000 {
			loop = append(loop, lives(0.1*float64(i+1), recover.LifeRuns, i+1))
		}
		s.then("a", loop)
		events := 0
		count := func(Event) { events++ }
		_, rows, err := playLives(t.Context(), s, s.h, oncePolicy(), recovertest.Rows("a:0"), count)
		if err != nil || rows["a"].State != recover.RowUp || rows["a"].Restarts != 1000 {
			t.Errorf("%v: %+v", err, rows["a"])
		}
		if events > 250 || s.awaited["a"] > 250 {
			t.Errorf("%d events, and %d questions in 100 s", events, s.awaited["a"])
		}
	})
}

// A Starter that does not wait does not keep the run busy.
func TestAwaitThatRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &repeater{}
		run := New(recovertest.Rows("a:0"), oncePolicy(), s, NewFlight(func([]string) error { return nil },
			func(string) {}), recovertest.Gauge{H: recovertest.NewHost()}, func(Event) {})
		if err := run.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := run.Follow(t.Context()); err != nil || s.asked > 50 {
			t.Errorf("%v, and %d questions in 20 s", err, s.asked)
		}
	})
}

// A repeater answers at once, and always the same.
type repeater struct {
	unitStarter
	asked int
}

func (s *repeater) Start(context.Context, recover.Row) (recover.Outcome, error) {
	return recovertest.Up, nil
}

func (s *repeater) Await(ctx context.Context, _ *recover.Row, _ recover.Life) (recover.Life, error) {
	s.asked++
	return recover.Life{State: recover.LifeRuns}, ctx.Err()
}

// At the deadline a row that fell has fallen, and is not called failed.
func TestDeadlineAfterFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		s.then("a", []moment{ended(1, 1)})
		s.h.Start["slow.service"] = recovertest.Hangs
		p := oncePolicy()
		p.Deadline = 5 * time.Second
		_, rows, err := playLives(t.Context(), s, s.h, p, recovertest.Rows("a:0 slow:0"), func(Event) {})
		if err != nil || rows["a"].State != recover.RowFell || rows["slow"].State != recover.RowFailed {
			t.Errorf("%v: a is %s, slow is %s", err, rows["a"].State, rows["slow"].State)
		}
	})
}

// TestFallOfSuspect has a suspect fall late in its soak. It stays in flight until its second
// attempt, so that the next suspect is alone.
func TestFallOfSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		s.then("a", []moment{ended(15, 1)}, nil)
		rs := recovertest.Rows("a:0 b:0")
		for i := range rs {
			rs[i].Alone, rs[i].Group = true, i+1
		}
		history, _, err := playLives(t.Context(), s, s.h, oncePolicy(), rs, func(Event) {})
		want := []string{"  0.0 starting a 1", "  0.0 up a 1", " 15.0 attempt-failed a 1", " 25.0 starting a 2",
			" 25.0 up a 2", " 45.0 starting b 1", " 45.0 up b 1"}
		if diff := cmp.Diff(want, history[:min(len(want), len(history))]); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestFollowContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		history, _, err := playLives(ctx, s, s.h, oncePolicy(), recovertest.Rows("a:0"), func(Event) {})
		if last := history[len(history)-1]; err != context.DeadlineExceeded || last != "  5.0 end" {
			t.Errorf("Follow returns %v; the last event is %q", err, last)
		}
	})
}

// What needs a container that was stopped on purpose is left alone with it.
func TestNeededContainerStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		stopped := recover.Outcome{Job: "canceled", UnitState: recover.UnitState{Loaded: true, Active: "inactive"}}
		s.h.Start["db.service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
			Sleep(ctx, 3*time.Second)
			return stopped, nil
		}
		s.h.Start["api.service"] = runs(needs("db.service"))
		s.h.Start["app.service"] = runs(needs("api.service"))
		s.h.Start["late.service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
			Sleep(ctx, 5*time.Second)
			return needs("app.service"), nil
		}
		_, rows, err := playLives(t.Context(), s, s.h, oncePolicy(),
			recovertest.Rows("db:0 api:0 app:0 late:0"), func(Event) {})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"api", "app", "late"} {
			row := rows[name]
			if row.State != recover.RowNeedsStopped || row.Error != "needs db, which you stopped" ||
				!slices.Equal(row.Stopped, []string{"db"}) {
				t.Errorf("%s is %s: %s (%q)", name, row.State, row.Error, row.Stopped)
			}
		}
	})
}

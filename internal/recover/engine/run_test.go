package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// play runs rows against h and returns the whole history, each event with the
// seconds since the start.
func play(t *testing.T, ctx context.Context, h *recovertest.Host, p recover.Policy,
	rs []recover.Row) (history []string, err error) {
	t.Helper()
	return playTo(ctx, h, p, rs, func(Event) {})
}

// playTo does so, and tells also each of the events.
func playTo(ctx context.Context, h *recovertest.Host, p recover.Policy, rs []recover.Row,
	each func(Event)) (history []string, err error) {
	began := time.Now()
	tell := func(e Event) {
		each(e)
		line := fmt.Sprintf("%5.1f %s", time.Since(began).Seconds(), e.Kind)
		if e.Row.Name == "" {
			line += fmt.Sprintf(" %d", e.Tier)
		} else {
			line += fmt.Sprintf(" %s %d", e.Row.Name, len(e.Row.Attempts))
		}
		history = append(history, line)
	}
	err = New(rs, p, unitStarter{h}, NewFlight(func([]string) error { return nil }, func(string) {}),
		recovertest.Gauge{H: h}, tell).Do(ctx)
	return history, err
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		rows     string
		behave   map[string]recovertest.Behavior
		parallel int
		want     []string
	}{
		"the next tier waits until each member of the last is up": {
			rows: "db:0 cache:0 app:2",
			behave: map[string]recovertest.Behavior{
				"db": recovertest.UpAfter(3 * time.Second), "cache": recovertest.UpAfter(time.Second),
			},
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 starting cache 1",
				"  1.0 up cache 1", "  3.0 up db 1", "  3.0 tier-settled 0",
				"  3.0 tier-started 2", "  3.0 starting app 1", "  3.0 up app 1", "  3.0 tier-settled 2",
			},
		},
		"a retry goes on beside later tiers": {
			rows:   "db:0 app:1",
			behave: map[string]recovertest.Behavior{"db": recovertest.WorksAt(2)},
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", "  0.0 tier-settled 0",
				"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 tier-settled 1",
				" 10.0 starting db 2", " 10.0 up db 2",
			},
		},
		"a container that hangs holds up the next tier for the tier's deadline only, and fails in the end": {
			rows:   "db:0 app:1",
			behave: map[string]recovertest.Behavior{"db": recovertest.Hangs},
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", " 60.0 tier-late 0",
				" 60.0 tier-started 1", " 60.0 starting app 1", " 60.0 up app 1", " 60.0 tier-settled 1",
				"120.0 attempt-failed db 1", "130.0 starting db 2", "310.0 gave-up db 2",
			},
		},
		"at most so many side by side, and one that ends lets the next begin at once": {
			rows:     "a:0 b:0 c:0",
			parallel: 2,
			behave: map[string]recovertest.Behavior{
				"a": recovertest.UpAfter(2 * time.Second), "b": recovertest.UpAfter(time.Second),
				"c": recovertest.UpAfter(time.Second)},
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting a 1", "  0.0 starting b 1",
				"  1.0 up b 1", "  1.0 starting c 1", "  2.0 up a 1", "  2.0 up c 1", "  2.0 tier-settled 0",
			},
		},
		"hung ones give their places to others after a tier's deadline": {
			rows:     "h1:0 h2:0 ok:0 late:1",
			parallel: 2,
			behave: map[string]recovertest.Behavior{
				"h1": recovertest.Hangs, "h2": recovertest.Hangs, "ok": recovertest.UpAfter(time.Second),
				"late": recovertest.UpAfter(2 * time.Second)},
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting h1 1", "  0.0 starting h2 1",
				" 60.0 tier-late 0", " 60.0 tier-started 1", " 60.0 starting ok 1", " 60.0 starting late 1",
				" 61.0 up ok 1", " 62.0 up late 1", " 62.0 tier-settled 1",
				"120.0 attempt-failed h1 1", "120.0 attempt-failed h2 1",
				"130.0 starting h1 2", "130.0 starting h2 2", "310.0 gave-up h1 2", "310.0 gave-up h2 2",
			},
		},
		"nothing to start ends at once": {rows: "", want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				for name, f := range c.behave {
					h.Start[name+".service"] = f
				}
				p := oncePolicy()
				if c.parallel > 0 {
					p.MaxParallel = c.parallel
				}
				got, err := play(t, t.Context(), h, p, recovertest.Rows(c.rows))
				if err != nil {
					t.Fatal(err)
				}
				// What happens at one moment in one tier has no order.
				if diff := cmp.Diff(sortMoments(c.want), sortMoments(got)); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// sortMoments sorts neighbours that say the same of different containers at
// the same moment.
func sortMoments(history []string) []string {
	sorted := append([]string(nil), history...)
	key := func(line string) (moment, kind, name string) {
		f := strings.Fields(line)
		return f[0], f[1], f[2]
	}
	for range sorted {
		for i := 1; i < len(sorted); i++ {
			m1, k1, w1 := key(sorted[i-1])
			m2, k2, w2 := key(sorted[i])
			if m1 == m2 && k1 == k2 && w2 < w1 {
				sorted[i-1], sorted[i] = sorted[i], sorted[i-1]
			}
		}
	}
	return sorted
}

func TestRunEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Start["a.service"] = recovertest.Hangs
		p := oncePolicy()
		p.Deadline = 90 * time.Second
		began := time.Now()
		history, err := play(t, t.Context(), h, p, recovertest.Rows("a:0"))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != p.Deadline {
			t.Errorf("ended after %s, want %s", took, p.Deadline)
		}
		if last := history[len(history)-1]; last != " 90.0 gave-up a 1" {
			t.Errorf("last event is %q", last)
		}
	})
}

func TestRunHostGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Start["a.service"] = func(context.Context, int) (recover.Outcome, error) {
			return recover.Outcome{}, recover.ErrGoingDown
		}
		history, err := play(t, t.Context(), h, oncePolicy(), recovertest.Rows("a:0 b:1"))
		if !errors.Is(err, recover.ErrGoingDown) {
			t.Errorf("Do returns %v, want ErrGoingDown", err)
		}
		for _, line := range history {
			if strings.Contains(line, "gave-up") || strings.Contains(line, "failed") || strings.Contains(line, " b ") {
				t.Errorf("unexpected event %q", line)
			}
		}
	})
}

func TestRunContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Start["a.service"] = recovertest.Hangs
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := play(t, ctx, h, oncePolicy(), recovertest.Rows("a:0"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("Do returns %v after %s", err, time.Since(began))
		}
	})
}

func TestJudgeAttempt(t *testing.T) {
	outcome := func(job, active, result string) recover.Outcome {
		return recover.Outcome{Job: job, UnitState: recover.UnitState{Loaded: true, Active: active}, Result: result}
	}
	unmet := outcome("done", "inactive", "success")
	unmet.ConditionFailed = true
	for name, c := range map[string]struct {
		job     bool
		outcome recover.Outcome
		err     error
		want    recover.RowState
	}{
		"active is up": {outcome: recovertest.Up, want: recover.RowUp},
		"active is up whatever became of the job": {
			outcome: outcome("canceled", "active", "success"), want: recover.RowUp,
		},
		"a failed job is a failure": {outcome: recovertest.Failed, want: recover.RowFailed},
		"waiting for its automatic restart is not up": {
			outcome: outcome("failed", "activating", "exit-code"), want: recover.RowFailed,
		},
		"done with an unmet condition is skipped": {outcome: unmet, want: recover.RowSkipped},
		"done and inactive is no success": {
			outcome: outcome("done", "inactive", "success"), want: recover.RowFailed,
		},
		"a failed dependency is a failure": {
			outcome: outcome("dependency", "inactive", "success"), want: recover.RowFailed,
		},
		"stopped while it was started is stopped": {
			outcome: outcome("canceled", "inactive", "success"), want: recover.RowUserStopped,
		},
		"put on the list meanwhile is stopped":           {err: recover.ErrUserStopped, want: recover.RowUserStopped},
		"masked is left alone":                           {err: recover.ErrMasked, want: recover.RowSkipped},
		"ordered after us is left to systemd":            {err: recover.ErrOrderedAfterUs, want: recover.RowDeferred},
		"a bus that is gone is a failure, to be retried": {err: recover.ErrNoBus, want: recover.RowFailed},
	} {
		t.Run(name, func(t *testing.T) {
			state, _, reason := judgeAttempt(c.job, c.outcome, c.err)
			if state != c.want {
				t.Errorf("state %s, want %s", state, c.want)
			}
			if state != recover.RowUp && reason == "" {
				t.Error("no reason given")
			}
		})
	}
}

func TestEveryKindOfEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		unmet := recover.Outcome{Job: "done", UnitState: recover.UnitState{Loaded: true, Active: "inactive"},
			ConditionFailed: true}
		h.Start["later.service"] = func(context.Context, int) (recover.Outcome, error) {
			return recover.Outcome{}, recover.ErrOrderedAfterUs
		}
		h.Start["unmet.service"] = func(context.Context, int) (recover.Outcome, error) { return unmet, nil }
		h.Start["masked.service"] = func(context.Context, int) (recover.Outcome, error) {
			return recover.Outcome{}, recover.ErrMasked
		}
		h.Start["listed.service"] = func(context.Context, int) (recover.Outcome, error) {
			return recover.Outcome{}, recover.ErrUserStopped
		}
		h.Start["hung.service"] = recovertest.Hangs
		h.Start["broken.service"] = recovertest.Fails
		p := oncePolicy()
		p.Deadline, p.RetryPause, p.TierDeadline = 50*time.Second, time.Minute, time.Minute
		got := map[string]recover.RowState{}
		tell := func(e Event) {
			if e.Row.Name != "" {
				got[e.Row.Name] = e.Row.State
			}
		}
		rs := recovertest.Rows("later:0 unmet:0 masked:0 listed:0 hung:0 broken:0 never:1")
		_, err := playTo(t.Context(), h, p, rs, tell)
		want := map[string]recover.RowState{
			"later": recover.RowDeferred, "unmet": recover.RowSkipped, "masked": recover.RowSkipped,
			"listed": recover.RowUserStopped,
			"hung":   recover.RowFailed, // while it was starting
			"broken": recover.RowFailed, // between its attempts
			"never":  recover.RowFailed, // before its tier began
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

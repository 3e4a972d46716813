package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// tellsAfter explains each attempt by its name and number, some time later.
func tellsAfter(took func(row recover.Row) time.Duration) func(context.Context, recover.Row) recover.Explanation {
	return func(ctx context.Context, row recover.Row) recover.Explanation {
		if Sleep(ctx, took(row)); ctx.Err() != nil {
			return recover.Explanation{}
		}
		return recover.Explanation{Reason: "test", Cause: tryOf(row)}
	}
}

// An explanation gets to the attempt that it explains, however late it comes, and
// delays neither the retry nor READY.
func TestExplanations(t *testing.T) {
	for name, c := range map[string]struct {
		took func(row recover.Row) time.Duration
		ends float64 // of Follow
		want [2]string
	}{
		"at once": {func(recover.Row) time.Duration { return 0 }, 10, [2]string{"a 1", "a 2"}},
		"after the second attempt": {
			func(recover.Row) time.Duration { return 15 * time.Second }, 25, [2]string{"a 1", "a 2"}},
		"in another order": {func(row recover.Row) time.Duration {
			return time.Duration(25-10*len(row.Attempts)) * time.Second
		}, 15, [2]string{"a 1", "a 2"}},
		"never": {func(recover.Row) time.Duration { return time.Hour }, 40, [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLifeStarter(recovertest.NewHost())
				s.h.Start["a.service"] = recovertest.Fails
				s.explain = tellsAfter(c.took)
				began := time.Now()
				var ready time.Duration
				explained := 0
				_, rows, err := playLives(t.Context(), s, s.h, oncePolicy(), recovertest.Rows("a:0"), func(e Event) {
					switch e.Kind {
					case GaveUp:
						ready = time.Since(began)
					case Explained:
						explained++
					}
				})
				if took := time.Since(began); err != nil || ready != 10*time.Second || took != seconds(c.ends) {
					t.Errorf("%v; the last attempt ended after %s, and all after %s", err, ready, took)
				}
				told := 0
				for i, want := range c.want {
					why := rows["a"].Attempts[i].Why
					if (why == nil) != (want == "") || why != nil && why.Cause != want {
						t.Errorf("attempt %d is explained by %+v, want %q", i+1, why, want)
					}
					if want != "" {
						told++
					}
				}
				if explained != told {
					t.Errorf("%d events", explained)
				}
			})
		})
	}
}

// A fall is explained, and so is the first restart. The explanation of the fall stays,
// also if that of the restart comes later.
func TestExplanationsOfFalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		s.then("a", []moment{lives(1, recover.LifeRestarting, 0), lives(2, recover.LifeRuns, 1), ended(3, 1)})
		s.then("b", []moment{ended(1, 1)})
		var asked atomic.Int32
		s.explain = func(ctx context.Context, row recover.Row) recover.Explanation {
			asked.Add(1)
			if row.State == recover.RowRestarting {
				Sleep(ctx, 10*time.Second)
			}
			return recover.Explanation{Cause: fmt.Sprintf("%s is %s", row.Name, row.State), Output: []string{"no such file"}}
		}
		_, rows, err := playLives(t.Context(), s, s.h, oncePolicy(), recovertest.Rows("a:0 b:0"), func(Event) {})
		if err != nil || asked.Load() != 3 {
			t.Errorf("%v, %d questions", err, asked.Load())
		}
		for name, want := range map[string]string{"a": "a is fell", "b": "b is fell"} {
			if why := rows[name].Attempts[0].Why; why == nil || why.Cause != want {
				t.Errorf("%s is explained by %+v", name, why)
			}
		}
	})
}

// Holders of a row keep it as it was.
func TestExplanationOfHeldRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLifeStarter(recovertest.NewHost())
		s.then("a", []moment{ended(1, 1)})
		s.explain = tellsAfter(func(recover.Row) time.Duration { return time.Second })
		var up, fell recover.Row
		_, _, err := playLives(t.Context(), s, s.h, oncePolicy(), recovertest.Rows("a:0"), func(e Event) {
			switch e.Kind {
			case Up:
				up = e.Row
			case Fell:
				fell = e.Row
			}
		})
		if err != nil || up.Attempts[0].Fell != nil || fell.Attempts[0].Fell == nil || fell.Attempts[0].Why != nil {
			t.Errorf("%v: up %+v, fell %+v", err, up, fell)
		}
	})
}

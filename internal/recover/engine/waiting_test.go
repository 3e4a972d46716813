package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// needs fails for want of other units.
func needs(blockers ...string) recover.Outcome {
	return recover.Outcome{Job: "dependency", UnitState: recover.UnitState{Loaded: true, Active: "inactive"},
		Blockers: blockers}
}

func TestNeededContainer(t *testing.T) {
	for name, c := range map[string]struct {
		db   func(context.Context, int) (recover.Outcome, error)
		want []string
	}{
		"after the other's second attempt": {recovertest.WorksAt(2), []string{
			"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", "  0.0 tier-settled 0",
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 waiting app 1", "  0.0 tier-settled 1",
			" 10.0 starting db 2", " 10.0 up db 2", " 10.0 starting app 2", " 10.0 up app 2",
		}},
		"not at all if the other fails in the end": {recovertest.Fails, []string{
			"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", "  0.0 tier-settled 0",
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 waiting app 1", "  0.0 tier-settled 1",
			" 10.0 starting db 2", " 10.0 gave-up db 2", " 10.0 gave-up app 1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				h.Start["db.service"] = c.db
				h.Start["app.service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
					h.Mu.Lock()
					defer h.Mu.Unlock()
					if h.States["db.service"].Active == "active" {
						return recovertest.Up, nil
					}
					return needs("db.service"), nil
				}
				got, err := play(t, t.Context(), h, oncePolicy(), recovertest.Rows("db:0 app:1"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Units that need one another in a circle do not wait for one another until the
// deadline.
func TestNeedsInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		for unit, needed := range map[string]string{"a": "b", "b": "c", "c": "a"} {
			h.Start[unit+".service"] = func(context.Context, int) (recover.Outcome, error) {
				return needs(needed + ".service"), nil
			}
		}
		began := time.Now()
		if _, err := play(t, t.Context(), h, oncePolicy(), recovertest.Rows("a:0 b:1 c:2")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != oncePolicy().RetryPause {
			t.Errorf("it took %s", took)
		}
	})
}

// What is needed may be no container: then there is a second attempt, as ever.
func TestNeededUnitIsNoContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Start["app.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
			if attempt == 1 {
				return needs("vpn.service"), nil
			}
			return recovertest.Up, nil
		}
		got, _ := play(t, t.Context(), h, oncePolicy(), recovertest.Rows("app:1"))
		want := []string{
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 attempt-failed app 1", "  0.0 tier-settled 1",
			" 10.0 starting app 2", " 10.0 up app 2",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// healthyAfter is a check that passes from d on after the first run of it.
func healthyAfter(d time.Duration) func(context.Context) (bool, error) {
	var began time.Time
	return func(context.Context) (bool, error) {
		if began.IsZero() {
			began = time.Now()
		}
		return time.Since(began) >= d, nil
	}
}

func TestHealthOfATier(t *testing.T) {
	const never = 24 * time.Hour
	for name, c := range map[string]struct {
		await    recover.HealthWait
		healthy  time.Duration
		deadline time.Duration // of recovery, if not the default
		start    recovertest.Behavior
		app      recovertest.Behavior
		want     []string
		health   recover.RowHealth
		ready    time.Duration
	}{
		"the next tier waits": {
			await: recover.HealthForTier, healthy: 2 * time.Second, health: recover.HealthPassed, ready: 2 * time.Second,
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 unhealthy db 1",
				"  2.0 healthy db 1", "  2.0 tier-settled 0",
				"  2.0 tier-started 1", "  2.0 starting app 1", "  2.0 up app 1", "  2.0 tier-settled 1",
			}},
		"not if it is healthy at once": {
			await: recover.HealthForTier, health: recover.HealthPassed,
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 healthy db 1", "  0.0 tier-settled 0",
				"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 tier-settled 1",
			}},
		"not if nothing waits for it": {
			await: recover.HealthIgnored, healthy: never,
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 tier-settled 0",
				"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 tier-settled 1",
			}},
		"not after the tier's deadline, and it stays up": {
			await: recover.HealthForTier, healthy: never, health: recover.HealthLate, ready: 61 * time.Second,
			app: recovertest.UpAfter(time.Second),
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 unhealthy db 1",
				" 60.0 tier-late 0", " 60.0 tier-started 1", " 60.0 starting app 1", " 60.0 unhealthy db 1",
				" 61.0 up app 1", " 61.0 tier-settled 1",
			}},
		"not after a start that took until the deadline": {
			await: recover.HealthForReady, healthy: never, health: recover.HealthLate, ready: 72 * time.Second,
			start: recovertest.UpAfter(70 * time.Second),
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", " 60.0 tier-late 0", " 60.0 tier-started 1",
				" 60.0 starting app 1", " 60.0 up app 1", " 60.0 tier-settled 1",
				" 70.0 up db 1", " 70.0 unhealthy db 1", " 72.0 unhealthy db 1",
			}},
		"not after the deadline of recovery": {
			await: recover.HealthForReady, healthy: never, health: recover.HealthLate, ready: 30 * time.Second,
			deadline: 30 * time.Second,
			want: []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 unhealthy db 1",
				" 30.0 unhealthy db 1", " 30.0 gave-up app 0", " 30.0 tier-settled 0",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				h.Checks = map[string]func(context.Context) (bool, error){"db": healthyAfter(c.healthy)}
				h.Start["db.service"], h.Start["app.service"] = c.start, c.app
				p := oncePolicy()
				if c.deadline > 0 {
					p.Deadline = c.deadline
				}
				rows := recovertest.Rows("db:0 app:1")
				rows[0].AwaitHealth = c.await
				var db recover.Row
				began := time.Now()
				got, err := playTo(t.Context(), h, p, rows, func(e Event) {
					if e.Row.Name == "db" {
						db = e.Row
					}
				})
				if diff := cmp.Diff(sortMoments(c.want), sortMoments(got)); err != nil || diff != "" {
					t.Errorf("%v; history (-want +got):\n%s", err, diff)
				}
				if db.State != recover.RowUp || db.Health != c.health || len(db.Attempts) != 1 {
					t.Errorf("db is %s, %q, after %d attempts", db.State, db.Health, len(db.Attempts))
				}
				if c.health == recover.HealthPassed && db.Attempts[0].Healthy.Sub(began) != c.healthy {
					t.Errorf("healthy at %s", db.Attempts[0].Healthy)
				}
				if took := time.Since(began); took != c.ready {
					t.Errorf("READY came after %s, want %s", took, c.ready)
				}
			})
		})
	}
}

// TestReadyWaitsForHealth: READY waits for the health of the last tier where the operator
// says so, and does not otherwise.
func TestReadyWaitsForHealth(t *testing.T) {
	for await, want := range map[recover.HealthWait]time.Duration{
		recover.HealthForReady: 5 * time.Second, recover.HealthIgnored: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			h := recovertest.NewHost()
			h.Checks = map[string]func(context.Context) (bool, error){"app": healthyAfter(5 * time.Second)}
			rows := recovertest.Rows("app:1")
			rows[0].AwaitHealth = await
			began := time.Now()
			if _, err := play(t, t.Context(), h, oncePolicy(), rows); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%d: READY came after %s, want %s", await, took, want)
			}
		})
	}
}

// TestNeededIsHealthy: what was not started for want of another one waits until that is
// healthy.
func TestNeededIsHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Checks = map[string]func(context.Context) (bool, error){"db": healthyAfter(5 * time.Second)}
		h.Start["db.service"] = recovertest.WorksAt(2)
		h.Start["app.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
			if attempt == 1 {
				return needs("db.service"), nil
			}
			return recovertest.Up, nil
		}
		rows := recovertest.Rows("db:0 app:1")
		rows[0].AwaitHealth = recover.HealthForTier
		got, err := play(t, t.Context(), h, oncePolicy(), rows)
		want := []string{
			"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", "  0.0 tier-settled 0",
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 waiting app 1", "  0.0 tier-settled 1",
			" 10.0 starting db 2", " 10.0 up db 2", " 10.0 unhealthy db 2", " 15.0 healthy db 2",
			" 15.0 starting app 2", " 15.0 up app 2",
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v; history (-want +got):\n%s", err, diff)
		}
	})
}

// TestHealthIsToldToPodman: the wait's end does not end podman's own check.
func TestHealthIsToldToPodman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Checks = map[string]func(context.Context) (bool, error){"db": healthyAfter(time.Second)}
		h.Start["app.service"] = recovertest.UpAfter(5 * time.Second)
		rows := recovertest.Rows("db:0 app:1")
		rows[0].AwaitHealth = recover.HealthForTier
		if _, err := play(t, t.Context(), h, oncePolicy(), rows); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(h.History, "own check db") {
			t.Errorf("history %q", h.History)
		}
	})
}

// A fallingStarter has each container fall a second after its start.
type fallingStarter struct{ unitStarter }

func (s fallingStarter) Await(ctx context.Context, _ *recover.Row, _ recover.Life) (recover.Life, error) {
	Sleep(ctx, time.Second)
	return recover.Life{State: recover.LifeEnded, ExitCode: 1}, ctx.Err()
}

// TestFallEndsHealthWait: nothing waits for the health of a container that has fallen.
func TestFallEndsHealthWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Checks = map[string]func(context.Context) (bool, error){"db": healthyAfter(time.Hour)}
		rows := recovertest.Rows("db:0 app:1")
		rows[0].AwaitHealth = recover.HealthForTier
		began := time.Now()
		var history []string
		r := New(rows, oncePolicy(), fallingStarter{unitStarter{h}},
			NewFlight(func([]string) error { return nil }, func(string) {}), recovertest.Gauge{H: h}, func(e Event) {
				if e.Row.Name == "db" || e.Kind == TierSettled {
					history = append(history, fmt.Sprintf("%4.1f %s %s", time.Since(began).Seconds(), e.Kind, e.Row.Health))
				}
			})
		if err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			" 0.0 starting ", " 0.0 up ", " 0.0 unhealthy waiting", " 1.0 attempt-failed ", " 1.0 tier-settled ",
			" 1.0 tier-settled ", "11.0 starting ", "11.0 up ", "11.0 unhealthy waiting", "12.0 fell ",
		}
		if diff := cmp.Diff(want, history); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

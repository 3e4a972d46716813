package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"
	"archy-recovery/internal/recover/survey"

	"github.com/google/go-cmp/cmp"
)

// TestNoCheckByPlan: a container that had no health check at the plan is not asked about again, but for one
// that may have been made anew since.
func TestNoCheckByPlan(t *testing.T) {
	for name, c := range map[string]struct {
		row   recover.Row
		asked bool
	}{
		"its own unit only starts it": {recover.Row{Name: "db", Generated: true}, false},
		"another unit":                {recover.Row{Name: "db"}, true},
		"after READY":                 {recover.Row{Name: "db", Generated: true}, true},
		"not asked at the plan":       {recover.Row{Name: "web", Generated: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost()
			host, configs := survey.Host{Podman: recovertest.Podman{H: h}}.AskOnce()
			if config, err := host.Podman.ConfigOf(t.Context(), "db"); err != nil || config.HealthCheck {
				t.Fatalf("%v, %v", config, err)
			}
			passes := func(context.Context) (bool, error) { return true, nil }
			h.Checks = map[string]func(context.Context) (bool, error){"db": passes, "web": passes}
			s := starterOn(h, recover.DefaultPolicy())
			s.configs = configs
			if name == "after READY" {
				configs.Forget()
			}
			told := false
			s.AwaitHealthy(t.Context(), c.row, func(recover.RowHealth) { told = true })
			if told != c.asked {
				t.Errorf("asked: %t", told)
			}
		})
	}
}

// TestChecks: when the check of a container is run, and when it counts as healthy.
func TestChecks(t *testing.T) {
	type check = func(context.Context) (bool, error)
	passesAt := func(n int32) check {
		var runs atomic.Int32
		return func(context.Context) (bool, error) { return runs.Add(1) >= n, nil }
	}
	for name, c := range map[string]struct {
		check   check
		prepare func(*recovertest.Host)
		runs    []string // at which seconds
		told    []string
		own     bool
	}{
		"no check": {},
		"at once":  {check: passesAt(1), runs: []string{"0.0"}, told: []string{"0.0 healthy"}, own: true},
		"with back-off": {
			check: passesAt(12), own: true,
			runs: []string{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0", "1.2", "1.4", "1.6", "1.8", "2.0", "2.3"},
			told: []string{"0.0 waiting", "2.3 healthy"}},
		"podman's own has passed before": {
			check: passesAt(1), prepare: func(h *recovertest.Host) { h.OwnChecks = map[string]bool{"db": true} },
			told: []string{"0.0 healthy"}},
		"podman's own passes where ours cannot": {
			check: func(context.Context) (bool, error) { return false, recovertest.ErrBroken },
			prepare: func(h *recovertest.Host) {
				time.AfterFunc(1100*time.Millisecond, func() { h.Set(func() { h.OwnChecks = map[string]bool{"db": true} }) })
			},
			runs: []string{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"},
			told: []string{"0.0 waiting", "1.2 healthy"}, own: true},
		"a check that hangs": {
			check: func(ctx context.Context) (bool, error) { <-ctx.Done(); return false, ctx.Err() },
			runs:  []string{"0.0", "30.2"}, told: []string{"30.0 waiting"}},
		"a container that is gone": {
			check: func(context.Context) (bool, error) { return false, recover.ErrNoContainer }, runs: []string{"0.0"}},
		"podman cannot be asked": {
			check: passesAt(1), prepare: func(h *recovertest.Host) { h.PodmanErr = recovertest.ErrBroken }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				at := func() string { return fmt.Sprintf("%.1f", time.Since(began).Seconds()) }
				var runs, told []string
				h := recovertest.NewHost()
				h.Checks = map[string]check{}
				if c.check != nil {
					h.Checks["db"] = func(ctx context.Context) (bool, error) { runs = append(runs, at()); return c.check(ctx) }
				}
				if c.prepare != nil {
					c.prepare(h)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				starterOn(h, recover.DefaultPolicy()).AwaitHealthy(ctx, recover.Row{Name: "db"}, func(s recover.RowHealth) {
					told = append(told, at()+" "+string(s))
				})
				if diff := cmp.Diff(c.runs, runs); diff != "" {
					t.Errorf("runs (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.told, told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if own := slices.Contains(h.History, "own check db"); own != c.own {
					t.Errorf("podman's own check was run: %t", own)
				}
			})
		})
	}
}

// TestHungChecksCostNobody: checks that hang keep no other container waiting, and few run
// at once.
func TestHungChecksCostNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Checks = map[string]func(context.Context) (bool, error){}
		var now, most atomic.Int32
		var rows []recover.Row
		for n := range 12 {
			name := fmt.Sprintf("hung%d", n)
			rows = append(rows, recovertest.Rows(name+":0")...)
			h.Checks[name] = func(ctx context.Context) (bool, error) { <-ctx.Done(); return false, ctx.Err() }
		}
		for n := range 12 {
			name := fmt.Sprintf("well%d", n)
			rows = append(rows, recovertest.Rows(name+":0")...)
			h.Checks[name] = func(ctx context.Context) (bool, error) {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				engine.Sleep(ctx, 300*time.Millisecond)
				return true, nil
			}
		}
		for i := range rows {
			rows[i].AwaitHealth = recover.HealthForTier
		}
		got, err := play(t, t.Context(), h, recover.DefaultPolicy(), append(rows, recovertest.Rows("app:1")...))
		if err != nil {
			t.Fatal(err)
		}
		var late []string
		for _, line := range got {
			if strings.Contains(line, " healthy ") && line > "  8.0" {
				late = append(late, line)
			}
		}
		if len(late) > 0 || most.Load() > checksAtOnce {
			t.Errorf("%d at once; late: %q", most.Load(), late)
		}
		if !slices.Contains(got, " 60.0 up app 1") || slices.ContainsFunc(got, func(l string) bool {
			return strings.Contains(l, "failed") || strings.Contains(l, "gave-up")
		}) {
			t.Errorf("history %q", got)
		}
	})
}

// TestStuckPodmanDelaysBriefly: a container that podman does not answer for delays a tier
// for as long as podman has to answer, and no longer.
func TestStuckPodmanDelaysBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Stuck = map[string]chan struct{}{"db": make(chan struct{})}
		patient := survey.NewPatient(recovertest.Podman{H: h})
		defer patient.Close()
		began := time.Now()
		_, err := patient.Health(t.Context(), "db")
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != survey.AnswerWithin {
			t.Errorf("%v after %s", err, took)
		}
	})
}

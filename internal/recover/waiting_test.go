package recover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// needs fails for want of other units.
func needs(blockers ...string) Outcome {
	return Outcome{Job: "dependency", UnitState: UnitState{Loaded: true, Active: "inactive"}, Blockers: blockers}
}

func TestWhoNeedsAnotherIsStartedWhenThatIsUp(t *testing.T) {
	for name, c := range map[string]struct {
		db   func(context.Context, int) (Outcome, error)
		want []string
	}{
		"after the other's second attempt": {worksAt(2), []string{
			"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", "  0.0 tier-settled 0",
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 waiting app 1", "  0.0 tier-settled 1",
			" 10.0 starting db 2", " 10.0 up db 2", " 10.0 starting app 2", " 10.0 up app 2",
		}},
		"not at all if the other fails in the end": {fails, []string{
			"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", "  0.0 tier-settled 0",
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 waiting app 1", "  0.0 tier-settled 1",
			" 10.0 starting db 2", " 10.0 gave-up db 2", " 10.0 gave-up app 1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				h.start["db.service"] = c.db
				h.start["app.service"] = func(ctx context.Context, _ int) (Outcome, error) {
					h.mu.Lock()
					defer h.mu.Unlock()
					if h.states["db.service"].Active == "active" {
						return up, nil
					}
					return needs("db.service"), nil
				}
				got, err := play(t, t.Context(), h, DefaultPolicy(), rows("db:0 app:1"))
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
func TestNobodyWaitsInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		for unit, needed := range map[string]string{"a": "b", "b": "c", "c": "a"} {
			h.start[unit+".service"] = func(context.Context, int) (Outcome, error) { return needs(needed + ".service"), nil }
		}
		began := time.Now()
		if _, err := play(t, t.Context(), h, DefaultPolicy(), rows("a:0 b:1 c:2")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != DefaultPolicy().RetryPause {
			t.Errorf("it took %s", took)
		}
	})
}

// What is needed may be no container: then there is a second attempt, as ever.
func TestWhoNeedsSomethingElseIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.start["app.service"] = func(_ context.Context, attempt int) (Outcome, error) {
			if attempt == 1 {
				return needs("vpn.service"), nil
			}
			return up, nil
		}
		got, _ := play(t, t.Context(), h, DefaultPolicy(), rows("app:1"))
		want := []string{
			"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 attempt-failed app 1", "  0.0 tier-settled 1",
			" 10.0 starting app 2", " 10.0 up app 2",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestNothingIsStartedIntoAnEmptyDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *host)
		want    []string
		row     RowState
		errs    string
	}{
		"a bind mount's source": {
			func(h *host) {
				h.binds = map[string][]string{"db": {"/mnt/data/db"}}
				time.AfterFunc(30*time.Second, func() { close(h.mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0",
				" 30.0 starting db 1", " 30.0 up db 1", " 30.0 tier-settled 0",
				" 30.0 tier-started 1", " 30.0 starting app 1", " 30.0 up app 1", " 30.0 tier-settled 1",
			}, RowUp, ""},
		"what its unit needs, and for longer than a tier may wait": {
			func(h *host) {
				h.needed = map[string][]string{"db.service": {"/mnt/data"}}
				time.AfterFunc(200*time.Second, func() { close(h.mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0", " 60.0 tier-late 0",
				" 60.0 tier-started 1", " 60.0 starting app 1", " 60.0 up app 1", " 60.0 tier-settled 1",
				"200.0 starting db 1", "200.0 up db 1",
			}, RowUp, ""},
		"a mount that systemd could not make": {
			func(h *host) {
				h.notMounted = nil
				h.start["db.service"] = func(_ context.Context, attempt int) (Outcome, error) {
					if attempt == 1 {
						o := needs("mnt-data.mount")
						o.NotMounted = []string{"/mnt/data"}
						return o, nil
					}
					return up, nil
				}
				time.AfterFunc(30*time.Second, func() { close(h.mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 1", " 30.0 starting db 2", " 30.0 up db 2",
				" 30.0 tier-settled 0", " 30.0 tier-started 1", " 30.0 starting app 1", " 30.0 up app 1", " 30.0 tier-settled 1",
			}, RowUp, ""},
		"a mount that never comes": {
			func(h *host) { h.binds = map[string][]string{"db": {"/mnt/data"}} }, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0", " 60.0 tier-late 0",
				" 60.0 tier-started 1", " 60.0 starting app 1", " 60.0 up app 1", " 60.0 tier-settled 1",
				"900.0 gave-up db 0",
			}, RowFailed, "/mnt/data is not mounted"},
		"a mount that fails, and looks well": { // one that an automount unit stands for
			func(h *host) {
				h.notMounted = nil
				close(h.mounted)
				h.start["db.service"] = func(context.Context, int) (Outcome, error) {
					o := needs("mnt-data.mount")
					o.NotMounted = []string{"/mnt/data"}
					return o, nil
				}
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 1", " 10.0 starting db 2", " 10.0 gave-up db 2",
				" 10.0 tier-settled 0", " 10.0 tier-started 1", " 10.0 starting app 1", " 10.0 up app 1", " 10.0 tier-settled 1",
			}, RowFailed, "mnt-data.mount"},
		"a mount that cannot be awaited": { // the bus dies
			func(h *host) {
				h.binds = map[string][]string{"db": {"/mnt/data"}}
				h.awaitErr = errBroken
				time.AfterFunc(15*time.Second, func() { close(h.mounted); h.setAwaitErr(nil) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0", " 10.0 starting db 1", " 10.0 waiting db 0",
				" 20.0 starting db 1", " 20.0 waiting db 0", " 20.0 starting db 1", " 20.0 up db 1", " 20.0 tier-settled 0",
				" 20.0 tier-started 1", " 20.0 starting app 1", " 20.0 up app 1", " 20.0 tier-settled 1",
			}, RowUp, ""},
		"another path is none of its business": {
			func(h *host) { h.binds = map[string][]string{"db": {"/mnt/database"}} }, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 tier-settled 0",
				"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 tier-settled 1",
			}, RowUp, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				h.notMounted, h.mounted = []string{"/mnt/data"}, make(chan struct{})
				c.prepare(h)
				var last Row
				rs := rows("db:0 app:1")
				got, err := playTo(t.Context(), h, DefaultPolicy(), rs, func(e Event) {
					if e.Row.Name == "db" {
						last = e.Row
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				if last.State != c.row || !strings.Contains(last.Error, c.errs) {
					t.Errorf("db is %s: %q, want %s: %q", last.State, last.Error, c.row, c.errs)
				}
			})
		})
	}
}

func TestAUnitAtItsStartLimitIsResetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.start["limited.service"] = func(context.Context, int) (Outcome, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if slices.Contains(h.history, "reset limited.service") {
				return up, nil
			}
			return failed, nil
		}
		h.start["broken.service"] = fails
		got, err := play(t, t.Context(), h, DefaultPolicy(), rows("limited:0 broken:0 well:0"))
		if err != nil || !slices.Contains(got, " 10.0 up limited 2") {
			t.Errorf("%v; history %q", err, got)
		}
		resets := slices.DeleteFunc(slices.Clone(h.history), func(l string) bool { return !strings.HasPrefix(l, "reset") })
		slices.Sort(resets)
		if !slices.Equal(resets, []string{"reset broken.service", "reset limited.service"}) {
			t.Errorf("reset were %q, want those that had failed, once", resets)
		}
	})
}

func TestWaitingForHealth(t *testing.T) {
	for name, c := range map[string]struct {
		healthy func(context.Context) error
		want    []string
	}{
		"up is who is healthy": {
			func(ctx context.Context) error { return over5s(ctx) },
			[]string{"  0.0 starting a 1", "  5.0 up a 1"}},
		"who does not become healthy in time is tried again, and fails": {
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			[]string{"  0.0 starting a 1", "120.0 attempt-failed a 1", "130.0 starting a 2", "310.0 gave-up a 2"}},
		"podman that cannot be asked is a failure": {
			func(context.Context) error { return errBroken },
			[]string{"  0.0 starting a 1", "  0.0 attempt-failed a 1", " 10.0 starting a 2", " 10.0 gave-up a 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				h.healthy = map[string]func(context.Context) error{"a": c.healthy}
				p := DefaultPolicy()
				p.WaitFor = WaitForHealthy
				got, err := play(t, t.Context(), h, p, rows("a:0"))
				got = slices.DeleteFunc(got, func(l string) bool { return strings.Contains(l, "tier-") })
				if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		})
	}
	t.Run("not asked for without WaitFor=healthy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			h.healthy = map[string]func(context.Context) error{"a": func(context.Context) error { return errors.New("asked") }}
			got, _ := play(t, t.Context(), h, DefaultPolicy(), rows("a:0"))
			if !slices.Contains(got, "  0.0 up a 1") {
				t.Errorf("history %q", got)
			}
		})
	})
}

func over5s(ctx context.Context) error {
	sleep(ctx, 5*time.Second)
	return ctx.Err()
}

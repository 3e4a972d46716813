package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// withNeeds adds needs such as "app>db:healthy" to rows.
func withNeeds(rows []recover.Row, words string) []recover.Row {
	for word := range strings.FieldsSeq(words) {
		name, need, _ := strings.Cut(word, ">")
		other, until, found := strings.Cut(need, ":")
		if !found {
			until = string(recover.UntilReady)
		}
		for i := range rows {
			if rows[i].Name == name {
				rows[i].Needs = append(rows[i].Needs, recover.Need{Name: other, Until: recover.NeedUntil(until)})
			}
		}
	}
	return rows
}

func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		rows, needs string
		healthy     string // rows whose health check passes after 5 s
		behave      map[string]recovertest.Behavior
		want        []string // without the events of tiers
	}{
		"inside a tier": {
			rows: "app:0 db:0", needs: "app>db",
			behave: map[string]recovertest.Behavior{"db": recovertest.UpAfter(2 * time.Second)},
			want: []string{"  0.0 waiting app 0", "  0.0 starting db 1", "  2.0 up db 1", "  2.0 starting app 1",
				"  2.0 up app 1"}},
		"against the tiers, and nobody else waits": {
			rows: "app:0 other:0 db:1", needs: "app>db",
			behave: map[string]recovertest.Behavior{"db": recovertest.UpAfter(2 * time.Second)},
			want: []string{"  0.0 waiting app 0", "  0.0 starting other 1", "  0.0 up other 1", "  0.0 starting db 1",
				"  2.0 up db 1", "  2.0 starting app 1", "  2.0 up app 1"}},
		"ready is healthy": {
			rows: "app:0 db:0", needs: "app>db", healthy: "db",
			want: []string{"  0.0 waiting app 0", "  0.0 starting db 1", "  0.0 up db 1", "  5.0 healthy db 1",
				"  5.0 starting app 1", "  5.0 up app 1"}},
		"started is up": {
			rows: "app:0 db:0", needs: "app>db:up", healthy: "db",
			want: []string{"  0.0 waiting app 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 starting app 1",
				"  0.0 up app 1", "  5.0 healthy db 1"}},
		"one that is never healthy": {
			rows: "app:0 db:0", needs: "app>db:healthy", healthy: "db!",
			want: []string{"  0.0 waiting app 0", "  0.0 starting db 1", "  0.0 up db 1", " 60.0 starting app 1",
				" 60.0 up app 1"}},
		"one that fails for good": {
			rows: "app:0 db:0", needs: "app>db", behave: map[string]recovertest.Behavior{"db": recovertest.Fails},
			want: []string{"  0.0 waiting app 0", "  0.0 starting db 1", "  0.0 attempt-failed db 1", " 10.0 starting db 2",
				" 10.0 gave-up db 2", " 10.0 starting app 1", " 10.0 up app 1"}},
		"one that is not to be started": {
			rows: "app:0", needs: "app>gone",
			want: []string{"  0.0 starting app 1", "  0.0 up app 1"}},
		"a chain of five": {
			rows: "a:0 b:1 c:2 d:3 e:4", needs: "a>b b>c c>d d>e:healthy", healthy: "e c",
			want: []string{"  0.0 waiting a 0", "  0.0 waiting b 0", "  0.0 waiting c 0", "  0.0 waiting d 0",
				"  0.0 starting e 1", "  0.0 up e 1", "  5.0 healthy e 1",
				"  5.0 starting d 1", "  5.0 up d 1", "  5.0 starting c 1", "  5.0 up c 1", " 10.0 healthy c 1",
				" 10.0 starting b 1", " 10.0 up b 1", " 10.0 starting a 1", " 10.0 up a 1"}},
		"a need of systemd against it": { // b's start fails for want of a, which is to wait for b
			rows: "b:0 a:1", needs: "a>b",
			behave: map[string]recovertest.Behavior{"b": func(_ context.Context, attempt int) (recover.Outcome, error) {
				if attempt == 1 {
					return needs("a.service"), nil
				}
				return recovertest.Up, nil
			}},
			want: []string{"  0.0 starting b 1", "  0.0 waiting b 1", "  0.0 starting a 1", "  0.0 up a 1",
				"  0.0 starting b 2", "  0.0 up b 2"}},
		"a need of systemd that it did not know": { // b's start fails for want of a, which waits for b
			rows: "a:0 b:0", needs: "a>b",
			behave: map[string]recovertest.Behavior{"b": func(_ context.Context, attempt int) (recover.Outcome, error) {
				return needs("a.service"), nil
			}},
			want: []string{"  0.0 waiting a 0", "  0.0 starting b 1", "  0.0 attempt-failed b 1", " 10.0 starting b 2",
				" 10.0 gave-up b 2", " 10.0 starting a 1", " 10.0 up a 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				h.Checks = map[string]func(context.Context) (bool, error){}
				rows := withNeeds(recovertest.Rows(c.rows), c.needs)
				for i := range rows {
					h.Start[rows[i].Unit] = c.behave[rows[i].Name]
					for word := range strings.FieldsSeq(c.healthy) {
						name, never := strings.CutSuffix(word, "!")
						if after := 5 * time.Second; name == rows[i].Name {
							if never {
								after = time.Hour
							}
							rows[i].AwaitHealth, h.Checks[name] = recover.HealthForTier, healthyAfter(after)
						}
					}
				}
				got, err := play(t, t.Context(), h, oncePolicy(), rows)
				got = slices.DeleteFunc(got, func(l string) bool {
					return strings.Contains(l, "tier-") || strings.Contains(l, "unhealthy")
				})
				if diff := cmp.Diff(sortMoments(c.want), sortMoments(got)); err != nil || diff != "" {
					t.Errorf("%v; history (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

// TestOrderUntilDone: what needs a job to be done waits for its end, well or not.
func TestOrderUntilDone(t *testing.T) {
	for _, code := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			h := recovertest.NewHost()
			rows := withNeeds(recovertest.Rows("app:0 init:0"), "app>init:done")
			rows[1].Job = true
			var history []string
			began := time.Now()
			r := New(rows, oncePolicy(), endingStarter{unitStarter{h}, code},
				NewFlight(func([]string) error { return nil }, func(string) {}), recovertest.Gauge{H: h}, func(e Event) {
					if e.Row.Name != "" {
						history = append(history, fmt.Sprintf("%4.1f %s %s", time.Since(began).Seconds(), e.Kind, e.Row.Name))
					}
				})
			if err := r.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			end := map[int]string{0: " 3.0 ended init", 1: " 3.0 fell init"}[code]
			want := []string{" 0.0 waiting app", " 0.0 starting init", " 0.0 up init", end, " 3.0 starting app", " 3.0 up app"}
			if diff := cmp.Diff(want, history); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
			r.close()
		})
	}
}

// An endingStarter has jobs end 3 s after their start.
type endingStarter struct {
	unitStarter
	code int
}

func (s endingStarter) Await(ctx context.Context, row *recover.Row, last recover.Life) (recover.Life, error) {
	if !row.Job {
		return s.unitStarter.Await(ctx, row, last)
	}
	Sleep(ctx, 3*time.Second)
	return recover.Life{State: recover.LifeEnded, ExitCode: s.code}, ctx.Err()
}

// TestOrderIsKept is a property of all orders: no container starts before one that it needs
// is up, or has failed for good; and all are given their turn.
func TestOrderIsKept(t *testing.T) {
	untils := []recover.NeedUntil{recover.UntilReady, recover.UntilUp, recover.UntilHealthy}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(rt, "containers")
		needs := map[string][]recover.Need{}
		var words []string
		for i := range n {
			words = append(words, fmt.Sprintf("c%d:%d", i, rapid.IntRange(0, 4).Draw(rt, "tier")))
			for range rapid.IntRange(0, 3).Draw(rt, "needs") {
				other := fmt.Sprintf("c%d", rapid.IntRange(0, n-1).Draw(rt, "needed"))
				until := rapid.SampledFrom(untils).Draw(rt, "until")
				needs[fmt.Sprintf("c%d", i)] = append(needs[fmt.Sprintf("c%d", i)], recover.Need{Name: other, Until: until})
			}
		}
		kept, _ := recover.WithoutCycles(needs)
		var behaviors []recovertest.Behavior
		takes := rapid.SliceOfN(rapid.IntRange(0, 90), n, n).Draw(rt, "takes")
		fails := rapid.SliceOfN(rapid.IntRange(0, 5), n, n).Draw(rt, "fails")
		alone := rapid.SliceOfN(rapid.IntRange(0, 5), n, n).Draw(rt, "alone")
		for i := range n {
			behaviors = append(behaviors, recovertest.UpAfter(time.Duration(takes[i])*time.Second))
			if fails[i] == 0 {
				behaviors[i] = recovertest.Fails
			}
		}
		synctest.Test(t, func(t *testing.T) {
			h := recovertest.NewHost()
			rows := recovertest.Rows(strings.Join(words, " "))
			for i := range rows {
				rows[i].Needs, h.Start[rows[i].Unit] = kept[rows[i].Name], behaviors[i]
				if alone[i] == 0 {
					rows[i].Alone, rows[i].Group = true, 1+i%2
				}
			}
			slices.SortStableFunc(rows, func(a, b recover.Row) int { return a.Group - b.Group })
			state := map[string]recover.RowState{}
			_, err := playTo(t.Context(), h, oncePolicy(), rows, func(e Event) {
				if e.Row.Name == "" {
					return
				}
				state[e.Row.Name] = e.Row.State
				if e.Kind != Starting || len(e.Row.Attempts) > 1 {
					return
				}
				for _, need := range e.Row.Needs {
					if s := state[need.Name]; s == "" || s.Pending() {
						rt.Errorf("%s starts while %s is %q", e.Row.Name, need.Name, s)
					}
				}
			})
			if err != nil {
				rt.Error(err)
			}
			for _, row := range rows {
				if s := state[row.Name]; s != recover.RowUp && s != recover.RowFailed {
					rt.Errorf("%s is %q in the end", row.Name, s)
				}
			}
		})
	})
}

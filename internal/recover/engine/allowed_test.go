package engine

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// needing has rows need containers that the user has stopped.
func needing(needs map[string][]string) func([]recover.Row) {
	return func(rows []recover.Row) {
		for i := range rows {
			if stopped := needs[rows[i].Name]; stopped != nil {
				rows[i].State, rows[i].Stopped = recover.RowNeedsStopped, stopped
				rows[i].Error = (&recover.NeedsStopped{Names: stopped}).Error()
			}
		}
	}
}

// look tells the run of a look now, at which all rows are members and these run.
func (p *retryPlay) look(runs string) {
	p.see(time.Now(), runs, "app both chain web alone", nil)
	synctest.Wait()
}

// allStarts are the starts of all containers.
func (p *retryPlay) allStarts() map[string][]float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.starts)
}

// inFlight is what is in flight on disk.
func (p *retryPlay) inFlight() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.disk)
}

// What needs a stopped container starts when the user allows that one again, in the order of the
// tiers, and with what it starts along in flight. It starts also if nothing is tried again after
// READY: the start was put off.
func TestAllowedStarts(t *testing.T) {
	for name, policy := range map[string]recover.Policy{"retries": recover.DefaultPolicy(), "no retries": oncePolicy()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRetryPlay(t, "web:0 app:1 chain:2 both:2")
				p.p, p.stopped = policy, "db mq"
				var along []string
				p.h.Start["app.service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
					along = p.inFlight()
					Sleep(ctx, 3*time.Second)
					return recovertest.Up, nil
				}
				p.play(p.s, needing(map[string][]string{"app": {"db"}, "chain": {"db"}, "both": {"db", "mq"}}), func() {
					p.look("web")
					time.Sleep(time.Hour)
					p.stopped = "mq"
					p.look("web")
					time.Sleep(time.Hour)
					want := map[string][]float64{"web": {0}, "app": {3600}, "chain": {3603}}
					if diff := cmp.Diff(want, p.allStarts()); diff != "" {
						t.Errorf("starts (-want +got):\n%s", diff)
					}
					if !slices.Contains(along, "db") {
						t.Errorf("in flight with app: %q", along)
					}
					for name, want := range map[string]recover.RowState{"app": recover.RowUp, "chain": recover.RowUp} {
						if got := p.state(name); got.State != want || len(got.Attempts) != 1 {
							t.Errorf("%s is %s after %d attempts", name, got.State, len(got.Attempts))
						}
					}
					if disk := p.inFlight(); len(disk) > 0 {
						t.Errorf("in flight for good: %q", disk)
					}
				})
			})
		})
	}
}

// A hold keeps what is allowed, unless the operator asks for it by name. What the user stops
// again meanwhile is not started.
func TestAllowedInHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "app:1 both:2 web:2 alone:3")
		p.stopped = "db mq"
		p.play(p.s, needing(map[string][]string{"app": {"db"}, "both": {"mq"}, "web": {"db"}}), func() {
			held := func(d time.Duration) { p.ask(func() { p.run.Hold(time.Now().Add(d)) }) }
			held(time.Hour)
			p.stopped = ""
			p.look("alone")
			row := p.state("app")
			if now := time.Now(); row.Error != "db, which it needs, may start again" || !row.Retry.Next.Equal(now) ||
				row.RetryLine(now) != "to be started now" || row.RetryLine(now.Add(-time.Minute)) != "started in 1m0s" {
				t.Errorf("in the hold it says %q, %+v, %q", row.Error, row.Retry, row.RetryLine(now))
			}
			p.ask(func() {
				if names, err := p.run.Again("web"); err != nil || len(names) != 1 {
					t.Errorf("web is not tried by hand: %v", err)
				}
			})
			time.Sleep(30 * time.Minute)
			p.stopped = "mq"
			p.look("alone web")
			if row := p.state("both"); row.Error != "needs mq, which you stopped" || row.Retry != nil {
				t.Errorf("both says %q, %+v", row.Error, row.Retry)
			}
			time.Sleep(time.Hour)
			want := map[string][]float64{"alone": {0}, "web": {0}, "app": {3600}}
			if diff := cmp.Diff(want, p.allStarts()); diff != "" {
				t.Errorf("starts (-want +got):\n%s", diff)
			}
			held(time.Hour)
			p.stopped = ""
			p.look("alone web app")
			p.ask(func() {
				if names, err := p.run.Again(""); err != nil || !slices.Equal(names, []string{"both"}) {
					t.Errorf("tried by hand: %q, %v", names, err)
				}
			})
			time.Sleep(time.Second)
			if row := p.state("both"); row.State != recover.RowUp {
				t.Errorf("both is %s", row.State)
			}
		})
	})
}

// A hold puts off a suspect that has not had its turn yet, and the next look after it finds that
// it may start.
func TestAllowedSuspectPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "web:0 alone:1")
		p.stopped = "db"
		p.play(p.s, func(rows []recover.Row) {
			needing(map[string][]string{"alone": {"db"}})(rows)
			rows[1].Alone, rows[1].Group = true, 1
		}, func() {
			p.stopped = ""
			p.look("web") // web is in its soak
			p.ask(func() {
				disk := p.inFlight()
				if row := p.run.rows[1]; row.State != recover.RowQueued || slices.Contains(disk, "alone") {
					t.Errorf("it is %s, and in flight are %q", row.State, disk)
				}
			})
			p.ask(func() { p.run.Hold(time.Now().Add(time.Hour)) })
			synctest.Wait()
			if row := p.state("alone"); row.State != recover.RowNeedsStopped || row.Retry.Tries != 0 {
				t.Errorf("in the hold it is %s, %+v", row.State, row.Retry)
			}
			time.Sleep(2 * time.Hour)
			p.look("web")
			if row := p.state("alone"); row.State != recover.RowUp {
				t.Errorf("after the hold it is %s", row.State)
			}
		})
	})
}

// What is allowed and stopped again before its start is not started, and nothing is said of an
// attempt. Later it is allowed once more, and fails: then it is tried again as any other.
func TestAllowedTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "app:1")
		var refuse error = &recover.NeedsStopped{Names: []string{"mq"}}
		s := &vetoStarter{lifeStarter: p.s, veto: func() error { return refuse }}
		p.h.Start["app.service"] = recovertest.WorksAt(2)
		p.play(s, needing(map[string][]string{"app": {"db"}}), func() {
			p.look("")
			row := p.state("app")
			if row.State != recover.RowNeedsStopped || len(row.Attempts) > 0 || row.Retry.Tries > 0 ||
				row.Error != "needs mq, which you stopped" {
				t.Errorf("it is %s, %+v: %q", row.State, row.Retry, row.Error)
			}
			refuse = nil
			time.Sleep(time.Hour)
			p.look("")
			if row := p.state("app"); row.State != recover.RowFailed {
				t.Errorf("it is %s", row.State)
			}
			time.Sleep(5 * time.Minute)
			if row := p.state("app"); row.State != recover.RowUp || row.Retry.Tries != 2 {
				t.Errorf("it is %s, %+v", row.State, row.Retry)
			}
		})
	})
}

// A vetoStarter refuses starts.
type vetoStarter struct {
	*lifeStarter
	veto func() error
}

func (s *vetoStarter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	if err := s.veto(); err != nil {
		return recover.Outcome{Unit: row.Unit}, err
	}
	return s.lifeStarter.Start(ctx, row)
}

// What somebody starts is found, and what is to run no more is given up.
func TestNeedsStoppedIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "app:1 gone:1")
		p.stopped = "db"
		p.play(p.s, needing(map[string][]string{"app": {"db"}, "gone": {"db"}}), func() {
			p.look("app")
			if app, gone := p.state("app"), p.state("gone"); app.State != recover.RowActive || app.Error != "" ||
				gone.State != recover.RowUserStopped {
				t.Errorf("app is %s, gone is %s", app.State, gone.State)
			}
		})
	})
}

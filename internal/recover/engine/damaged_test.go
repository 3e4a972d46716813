package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A container that is damaged has no attempt, is not in flight, and holds up nobody: not the
// next tier, nor what needs it.
func TestDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		damage := &recover.Damaged{Container: "db", Image: "db:1",
			Damage: recover.Damage{Path: "overlay/x", What: "is empty"}}
		h.Start["db"] = func(context.Context, int) (recover.Outcome, error) { return recover.Outcome{}, damage }
		h.Start["app"] = recovertest.UpAfter(0)
		var inFlight []string
		flight := NewFlight(func(names []string) error { inFlight = names; return nil }, func(string) {})
		rows := []recover.Row{
			{Name: "db", Unit: "db", State: recover.RowQueued},
			{Name: "app", Unit: "app", Tier: 1, State: recover.RowQueued, Needs: []recover.Need{{Name: "db"}}},
		}
		last := map[string]recover.Row{}
		began := time.Now()
		run := New(rows, recover.DefaultPolicy(), unitStarter{h}, flight, recovertest.Gauge{H: h}, func(e Event) {
			if e.Row.Name != "" {
				last[e.Row.Name] = e.Row
			}
		})
		if err := run.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		run.close()
		time.Sleep(FlushWithin)
		if db := last["db"]; db.State != recover.RowDamaged || len(db.Attempts) != 0 || db.Error != damage.Error() {
			t.Errorf("db: %+v", db)
		}
		if app := last["app"]; app.State != recover.RowUp {
			t.Errorf("app: %+v", app)
		}
		if len(inFlight) != 1 || inFlight[0] != "app" {
			t.Errorf("in flight: %q", inFlight)
		}
		flight.Close()
	})
}

// The operator may have a damaged container tried all the same.
func TestDamagedIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRetryPlay(t, "db:0")
		damaged := &recover.Damaged{Container: "db"}
		p.h.Start["db.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
			if attempt == 1 {
				return recover.Outcome{}, damaged
			}
			return recovertest.Up, nil
		}
		p.play(p.s, nil, func() {
			time.Sleep(time.Hour)
			if n := len(p.starts["db"]); n != 1 {
				t.Errorf("it was tried %d times by itself", n)
			}
			if err := p.run.Ask(t.Context(), func() { _, _ = p.run.Again("db") }); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		})
		if state := p.row["db"].State; state != recover.RowUp {
			t.Errorf("db is %s", state)
		}
	})
}

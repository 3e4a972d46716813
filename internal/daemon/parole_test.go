package daemon

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A quarantined container is tried when the host has lived without it, and is let go if
// it lives through its soak.
func TestParole(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host, p *recover.Policy)
		after   time.Duration // READY; 0 for never
	}{
		"soon, without evidence": {func(h *recovertest.Host, _ *recover.Policy) {}, 5 * time.Minute},
		"later, with evidence": {
			func(h *recovertest.Host, _ *recover.Policy) { h.Quarantine[0].Evidence = true }, time.Hour},
		"later still at the second time": {func(h *recovertest.Host, _ *recover.Policy) {
			h.Quarantine[0].Evidence, h.Quarantine[0].Paroles = true, 1
		}, 24 * time.Hour},
		"the last time holds": {func(h *recovertest.Host, _ *recover.Policy) {
			h.Quarantine[0].Evidence, h.Quarantine[0].Paroles = true, 7
		}, 7 * 24 * time.Hour},
		"never by configuration": {func(_ *recovertest.Host, p *recover.Policy) { p.Parole = nil }, 0},
		"never in safe mode":     {func(_ *recovertest.Host, p *recover.Policy) { p.Mode = recover.ModeSafe }, 0},
		"never if the user listed it": {
			func(h *recovertest.Host, _ *recover.Policy) { h.Quarantine[0].Listed = false }, 0},
		"never if the kernel named it": {
			func(h *recovertest.Host, _ *recover.Policy) { h.Quarantine[0].Named = true }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := quarantined(t)
			h.Quarantine[0].Case = "b0"
			p := recover.DefaultPolicy()
			c.prepare(h, &p)
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				s := newService(h, p)
				go func() { done <- s.Run(ctx) }()
				untilReady(s)
				wait := c.after
				if wait == 0 {
					wait = 30 * 24 * time.Hour
				}
				time.Sleep(wait - time.Second)
				h.Mu.Lock()
				early := slices.Contains(started(h.History), "b")
				h.Mu.Unlock()
				if early {
					t.Error("it was started too early")
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				st, _ := s.Status()
				b, suspected := st.Quarantine.Find("b")
				if out := !b.Quarantined; out != (c.after > 0) {
					t.Errorf("out of quarantine: %v: %+v", out, b)
				}
				up := states(st.Recovery)["b"] == recover.RowUp
				if c.after > 0 && (!suspected || b.Lived != 1 || !up || len(h.UserStopped) > 0) {
					t.Errorf("suspected: %+v; it is %s, the list is %q", b, states(st.Recovery)["b"], h.UserStopped)
				}
				stop()
				<-done
			})
		})
	}
}

// The host crashes on parole: the next try comes much later.
func TestParoleFails(t *testing.T) {
	h := quarantined(t)
	h.Quarantine[0].Case = "b0"
	p := recover.DefaultPolicy()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := newService(h, p)
		go func() { done <- s.Run(ctx) }()
		untilReady(s)
		time.Sleep(5*time.Minute + time.Second)
		h.Mu.Lock()
		h.Dead = true
		h.Mu.Unlock()
		stop()
		<-done
	})
	if !slices.Equal(h.InFlight.Names, []string{"b"}) || h.Quarantine[0].Paroles != 1 {
		t.Fatalf("in flight are %q, on disk is %+v", h.InFlight.Names, h.Quarantine)
	}
	h.Dead, h.History = false, nil
	clear(h.Sightings)
	for unit := range h.States {
		h.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := New(worldOf(h), p, recover.Identity{BootID: "b3", PID: 1})
		go func() { done <- s.Run(ctx) }()
		untilReady(s)
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		st, _ := s.Status()
		if b, _ := st.Quarantine.Find("b"); !b.Quarantined || b.Strikes != 3 || slices.Contains(started(h.History), "b") {
			t.Errorf("%+v; started were %q", b, started(h.History))
		}
		stop()
		<-done
	})
}

// A service that is restarted does not begin to wait anew: the host lives since its boot.
// And a soak that the run before has counted counts no more.
func TestParoleAfterRestart(t *testing.T) {
	h := quarantined(t)
	h.Quarantine[0].Case, h.Quarantine[0].Evidence = "b0", true
	h.Quarantine = h.Quarantine.With(recover.Suspect{Name: "a", Strikes: 1, Case: "b0", BootID: "b0", Evidence: true})
	p := recover.DefaultPolicy()
	synctest.Test(t, func(t *testing.T) {
		boot := time.Now()
		h.JournalNow = func() time.Duration { return time.Since(boot) }
		for range 5 {
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			s := newService(h, p)
			go func() { done <- s.Run(ctx) }()
			untilReady(s)
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			for range 2 {
				_, _ = s.TakeSnapshot(t.Context())
				time.Sleep(p.Soak)
			}
			st, _ := s.Status()
			if a, _ := st.Quarantine.Find("a"); a.Lived != 1 {
				t.Errorf("a has lived through %d soaks in this boot", a.Lived)
			}
			if b, _ := st.Quarantine.Find("b"); b.Quarantined != (time.Since(boot) < time.Hour) {
				t.Errorf("%s after the boot it is in quarantine: %v", time.Since(boot), b.Quarantined)
			}
			stop()
			<-done
		}
	})
}

// The dates of a suspect follow the wall clock, when that is set.
func TestDatesAfterClockIsSet(t *testing.T) {
	s := &suspects{dates: map[string]dates{
		"a": {try: recovertest.WallSet(time.Now().Add(time.Hour), 24*time.Hour)},
		"b": {ends: time.Now().Add(time.Hour)},
	}}
	now := time.Now()
	got := s.dated(recover.Quarantine{
		{Name: "a", NextTry: now.Add(-23 * time.Hour)}, {Name: "b", Ends: now.Add(time.Hour + time.Second)}, {Name: "c"}})
	if off := got[0].NextTry.Sub(now.Add(time.Hour)).Abs(); off > 2*time.Second {
		t.Errorf("the next try is at %s, %s off", got[0].NextTry, off)
	}
	if !got[1].Ends.Equal(now.Add(time.Hour+time.Second)) || !got[2].NextTry.IsZero() {
		t.Errorf("%+v", got)
	}
}

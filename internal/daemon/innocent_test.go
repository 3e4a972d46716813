package daemon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
)

// No container takes the host down: it crashes at any moment and of any cause, the service
// is killed or restarted in between, and the clock is wrong. When the host lives for the
// longest time of ParoleSec= after that, with a service that is restarted again and again,
// then all run, nothing is in quarantine, and the user-stopped list is empty.
func TestNoInnocentStaysDown(t *testing.T) {
	n := 15
	if given, err := strconv.Atoi(os.Getenv("CRASH_HISTORIES")); err == nil {
		n = given
	}
	held := 0
	for k := range n {
		rnd := rand.New(rand.NewPCG(3, uint64(k)))
		s := newSaga(t, rnd, 1+rnd.IntN(8))
		causes := []recover.Cause{recover.CausePowerLoss, recover.CauseUnknown, recover.CausePanic,
			recover.CauseWatchdog, recover.CauseOOM}
		causes = causes[rnd.IntN(len(causes)):] // some hosts have evidence each time
		for range 3 + rnd.IntN(10) {
			lives := s.upTo(time.Minute)
			if rnd.IntN(5) == 0 {
				lives = s.upTo(30 * time.Hour)
			}
			s.restless(lives, max(lives/time.Duration(1+rnd.IntN(3)), time.Second), causes[rnd.IntN(len(causes))])
			held = max(held, len(s.host.Quarantine.Held()))
			s.confuseDates()
		}
		down := s.restless(8*24*time.Hour, 3*time.Hour, recover.CausePowerLoss)
		if len(down) > 0 || len(s.host.Quarantine.Held()) > 0 || len(s.host.UserStopped) > 0 {
			t.Errorf("history %d: down are %q, quarantine %+v, the list %q", k, down, s.host.Quarantine, s.host.UserStopped)
		}
	}
	if held == 0 {
		t.Error("nothing was ever in quarantine: these histories show nothing")
	}
}

// restless is one boot in which the service is restarted, or killed, at random moments at
// most so far apart. It returns what does not run when it ends.
func (s *saga) restless(lives, apart time.Duration, cause recover.Cause) (down []string) {
	h := s.host
	s.boots++
	synctest.Test(s.t, func(t *testing.T) {
		var order []string
		s.powerOn(&order)
		began := time.Now()
		h.JournalNow = func() time.Duration { return bootDelay + time.Since(began) }
		for pid := 1; ; pid++ {
			service := New(worldOf(h), s.policy, recover.Identity{BootID: fmt.Sprint("b", s.boots), PID: pid})
			ctx, end := context.WithCancel(t.Context())
			h.Died = end
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = service.Run(ctx)
			}()
			left := lives - time.Since(began)
			time.Sleep(min(left, apart/4+s.upTo(apart)))
			synctest.Wait()
			last := time.Since(began) >= lives
			switch killed := s.rnd.IntN(2) == 0; {
			case last:
				s.die(cause)
			case killed:
				h.Set(func() { h.Dead = true })
			}
			end()
			<-done
			service.suspects.flight.Close()
			if last {
				break
			}
			h.Set(func() { h.Dead = false })
		}
		for _, name := range s.names {
			if !s.up[name] {
				down = append(down, name)
			}
		}
	})
	return down
}

// confuseDates has all dates of the casebook be from a clock that was wrong.
func (s *saga) confuseDates() {
	wrong := func() time.Time { return time.Unix(s.rnd.Int64N(1<<32), 0) }
	for i := range s.host.Quarantine {
		suspect := &s.host.Quarantine[i]
		suspect.Since, suspect.Ends, suspect.NextTry = wrong(), wrong(), wrong()
	}
	for i := range s.host.Book.Crashes {
		s.host.Book.Crashes[i].Noticed = wrong()
	}
}

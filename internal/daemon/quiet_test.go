package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A host that crashes when no container is in flight is said to do so in the end,
// and not after it has lived for an hour. A shutdown in order is no crash, and of what
// cannot be read nothing is said.
func TestQuietCrashes(t *testing.T) {
	const sentence = "4 crashes, no container explains them"
	inOrder := recover.BootEnd{Tail: []recover.Sign{{Kind: recover.SignShutdownAsked}, {Kind: recover.SignJournalStopped}}}
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host)
		lives   time.Duration // in each boot
		says    bool
	}{
		"four times":               {func(*recovertest.Host) {}, time.Minute, true},
		"for want of a journal":    {func(h *recovertest.Host) { h.JournalErr = recovertest.ErrBroken }, time.Minute, true},
		"in order":                 {func(h *recovertest.Host) { h.BootEnd = inOrder }, time.Minute, false},
		"each after an hour":       {func(*recovertest.Host) {}, time.Hour + time.Minute, false},
		"what flew is not known":   {func(h *recovertest.Host) { h.InFlightErr = recover.ErrLost }, time.Minute, false},
		"with one in quarantine":   {func(h *recovertest.Host) { h.Quarantine = heldOf("b") }, time.Minute, true},
		"and the list is not kept": {func(h *recovertest.Host) { h.SaveErr = recovertest.ErrBroken }, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
			h.Marker = recovertest.Crashed
			c.prepare(h)
			var notes []string
			for boot := range 4 {
				synctest.Test(t, func(t *testing.T) {
					h.History = nil
					clear(h.Sightings)
					for unit := range h.States {
						h.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
					}
					s := New(worldOf(h), recover.DefaultPolicy(), recover.Identity{BootID: fmt.Sprint("q", boot), PID: 1})
					died := runUntil(t, h, s, c.lives)
					st, _ := s.Status()
					notes = st.Recovery.Notes
					died()
				})
			}
			if got := strings.Join(notes, "; "); strings.Contains(got, sentence) != c.says ||
				strings.Count(got, "no container explains") > 1 {
				t.Errorf("after four crashes it notes %q", got)
			}
		})
	}
}

func heldOf(name string) recover.Quarantine {
	return recover.Quarantine{{Name: name, Strikes: 3, Case: "b0", BootID: "b0", Quarantined: true}}
}

// runUntil runs a service until the host dies after a while: from then on nothing reaches
// the disk. ends ends the run.
func runUntil(t *testing.T, h *recovertest.Host, s *Service, lives time.Duration) (ends func()) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	h.Dead = false
	go func() { done <- s.Run(ctx) }()
	untilReady(s)
	time.Sleep(lives)
	synctest.Wait()
	h.Set(func() { h.Dead = true })
	return func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

package units

import (
	"fmt"
	"testing"
	"time"
)

// systemd is off the bus for a moment when it re-executes itself: what it says
// then is lost.
func TestAJobWhoseEndIsLostIsAskedFor(t *testing.T) {
	t.Parallel()
	for sentence, active := range map[string]string{"and its unit is up": "active", "and its unit has failed": "failed"} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.starts(func(c *startCall) {
				job := f.newJob()
				c.reply(job)
				f.set(c.unit, active, active, map[string]any{"Service.Result": "exit-code"})
				f.change(func() { f.gone[job] = true })
			})
			o, err := m.Start(soon(t), "app.service")
			if err != nil || o.Job != "lost" || o.Active != active {
				t.Errorf("got %+v, %v", o, err)
			}
			nothingKept(t, m)
		})
	}
}

// The bus dies at each of the calls of a recovery in turn, before it is answered,
// and comes back: what that cut short is tried once more, over a new connection.
func TestRecoveryOutlivesTheBus(t *testing.T) {
	const containers = 3
	calls := 0
	calm := newSite(t, containers, 0)
	calm.recover(func(string) (leave func()) {
		return func() { calm.f.change(func() { calls = calm.f.served }) }
	})
	// Of a unit: what it runs, its mounts, its conditions, its start, its state.
	if calls < 5*containers {
		t.Fatalf("a recovery makes only %d calls", calls)
	}
	// A few may have come after READY; then a new daemon would have been needed.
	for at := 1; at <= 5*containers; at++ {
		t.Run(fmt.Sprintf("call %d", at), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, containers, 0)
			s.policy.RetryPause = 2 * time.Second // as long as the bus may be away
			fatal := make(chan struct{})
			s.f.change(func() {
				s.f.onCall = func(n int) bool {
					if n == at {
						close(fatal)
					}
					return n < at
				}
			})
			s.recover(func(string) (leave func()) {
				await(t, fatal, "the call at which the bus dies")
				s.bus.kill()
				s.f.disconnect()
				s.f.change(func() { s.f.onCall = nil })
				s.bus.run()
				s.f.connect(s.bus)
				return func() {}
			})
		})
	}
}

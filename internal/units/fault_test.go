package units

import (
	"fmt"
	"testing"
	"time"
)

// TestJobEndLost loses the signal of a job's end, as when systemd is off the bus to re-execute itself.
func TestJobEndLost(t *testing.T) {
	t.Parallel()
	for name, active := range map[string]string{"active unit": "active", "failed unit": "failed"} {
		t.Run(name, func(t *testing.T) {
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
			checkNothingWaits(t, m)
		})
	}
}

// The answer that a job is gone may overtake the signal of its end: they are read side by side.
func TestJobEndLate(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.starts(func(c *startCall) {
		job := f.newJob()
		c.reply(job)
		f.set(c.unit, "inactive", "dead", map[string]any{"Service.Result": "success"})
		f.change(func() { f.gone[job], f.onGone = true, func() { f.end(job, c.unit, "done") } })
	})
	o, err := m.Start(soon(t), "app.service")
	if err != nil || o.Job != "done" {
		t.Errorf("got %+v, %v", o, err)
	}
	checkNothingWaits(t, m)
}

// TestBusRestartDuringRecovery kills the bus at each call of a recovery in turn, before the answer, and
// starts it again. Recovery must repeat the failed steps over a new connection.
func TestBusRestartDuringRecovery(t *testing.T) {
	const containers = 3
	calls := 0
	calm := newSite(t, containers, 0)
	calm.recover(func(string) (leave func()) {
		return func() { calm.f.change(func() { calls = calm.f.served }) }
	})
	// A unit takes eight calls: its commands, three for whether it is a job, its mounts, its conditions, its start
	// and its state.
	if calls < 8*containers {
		t.Fatalf("a recovery makes %d calls, want at least eight a container", calls)
	}
	// The last calls may come after READY, where the daemon ends with the bus. They are left out.
	for at := 1; at <= 8*containers; at++ {
		t.Run(fmt.Sprintf("call %d", at), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, containers, 0)
			s.policy.RetryPause = 2 * time.Second // the bus is back before that
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

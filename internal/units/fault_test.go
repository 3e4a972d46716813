package units

import (
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

// The bus dies at one of the starts of a recovery and comes back: what it cut
// short is tried once more, over a new connection.
func TestRecoveryOutlivesTheBus(t *testing.T) {
	t.Parallel()
	for _, at := range []int{1, 5, 12} {
		s := newSite(t, 12, 0)
		s.policy.RetryPause = 2 * time.Second // as long as the bus may be away
		fatal := make(chan struct{})
		n := 0
		s.f.starts(func(c *startCall) { // one after the other
			if n++; n == at {
				close(fatal)
				return // it never says so
			}
			s.start(c, 0)
		})
		s.recover(func(string) (leave func()) {
			await(t, fatal, "the start at which the bus dies")
			s.bus.kill()
			s.f.disconnect()
			s.bus.run()
			s.f.connect(s.bus)
			return func() {}
		})
		if n <= len(s.names) {
			t.Errorf("dead at start %d, and only %d starts", at, n)
		}
	}
}

package recovery

import (
	"slices"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// Within its soak a container that somebody stops is stopped, and leaves the set. One that
// ends by itself, also with exit code 0, or that systemd stops because of another unit,
// stays in the set: report and set say the same.
func TestStopsWithinSoak(t *testing.T) {
	// Longer than the default: all ends have to be within it.
	onBothInstances(t, "RetryPauseSec=1\nSoakSec=90\n", func(n *node) {
		dir := "/etc/systemd/system/"
		if n.uid != 0 {
			dir = "/home/archy/.config/systemd/user/"
		}
		n.WriteFile(dir+"base.service", "[Service]\nExecStart=/bin/sleep infinity\n", 0o644, n.uid)
		for _, name := range []string{"slow", "unit", "zero"} {
			n.quadlet(name, 1, "", "")
		}
		n.quadlet("bound", 1, "", "[Unit]\nBindsTo=base.service\nAfter=base.service")
		n.user.Systemctl("start", "slow", "unit", "zero", "bound")
		n.enable()
		n.waitSaved("bound", "slow", "unit", "zero")
		n.PullPlug()
		n.BootNoWait()
		w := n.watch()

		w.awaitReady(60 * time.Second)
		becomes := func(name string, want recover.RowState) {
			n.t.Helper()
			st, ok := w.tryAwait(10*time.Second, name, func(st shownStatus) bool { return st.row(name).State == want })
			if row := st.row(name); !ok {
				n.t.Errorf("%s is %s (%s), want %s", name, row.State, row.Error, want)
			}
		}
		n.user.Systemctl("stop", "unit")
		becomes("unit", recover.RowUserStopped)
		n.MustRun("kill", "-TERM", n.pid("zero")) // its program ends with 0
		becomes("zero", recover.RowFell)
		n.user.Systemctl("stop", "base")
		becomes("bound", recover.RowSkipped)
		n.waitSaved("bound", "slow", "zero")

		// It runs again, and is stopped: that is a stop.
		n.user.Systemctl("start", "zero")
		n.WaitFor(10*time.Second, "zero to be no longer unrecovered", func() bool {
			for _, c := range n.savedSet() {
				if c.Name == "zero" {
					return !c.Unrecovered
				}
			}
			return false
		})
		n.user.Systemctl("stop", "zero")
		// The third change of a member is held back for a while.
		n.WaitFor(2*time.Minute, "the set without zero", func() bool {
			return !slices.ContainsFunc(n.savedSet(), func(c recover.Container) bool { return c.Name == "zero" })
		})
		n.waitSaved("bound", "slow")
	})
}

package units

import (
	"errors"
	"testing"

	"archy-recovery/internal/recover"
)

// StartAgain has systemd refuse a start that would cancel a job of somebody else.
func TestStartAgain(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	modes := make(chan string, 10)
	f.starts(func(c *startCall) {
		modes <- c.mode
		startAtOnce(c)
	})
	if o, err := m.StartAgain(soon(t), "db.service"); err != nil || o.Active != "active" {
		t.Errorf("%+v, %v", o, err)
	}
	if mode := <-modes; mode != "fail" {
		t.Errorf("the job mode is %s", mode)
	}
	f.starts(func(c *startCall) { c.refuse(systemd+".TransactionIsDestructive", "Transaction is destructive") })
	_, err := m.StartAgain(soon(t), "db.service")
	if !errors.Is(err, recover.ErrConflict) || errors.Is(err, recover.ErrGoingDown) {
		t.Errorf("with a stop under way: %v", err)
	}
	f.property("SystemState", "stopping")
	if _, err := m.StartAgain(soon(t), "db.service"); !errors.Is(err, recover.ErrGoingDown) {
		t.Errorf("while the host goes down: %v", err)
	}
	if _, err := m.StartAgain(soon(t), "../db.service"); err == nil {
		t.Error("a name that is no unit's is taken")
	}
}

// AwaitMountAbove returns when something is mounted at a path or above it, and not for what
// was mounted before, or elsewhere.
func TestAwaitMountAbove(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("-.mount", "active", "mounted", nil)
	f.set("srv.mount", "active", "mounted", nil)
	done := make(chan error, 1)
	go func() { done <- m.AwaitMountAbove(soon(t), []string{"/srv/my nas/data"}) }()
	f.awaitCall("ListUnitsByPatterns")
	not := func(unit string) {
		t.Helper()
		f.set(unit, "active", "mounted", nil)
		f.changed(unit)
		f.awaitCall("ListUnitsByPatterns")
		select {
		case err := <-done:
			t.Fatalf("it returns for %s: %v", unit, err)
		default:
		}
	}
	not("mnt-other.mount")
	not(`srv-my\x20nas-database.mount`)
	not("srv.mount")
	f.set(`srv-my\x20nas.mount`, "active", "mounted", nil)
	f.changed(`srv-my\x20nas.mount`)
	if err := await(t, done, "the mount"); err != nil {
		t.Error(err)
	}
}

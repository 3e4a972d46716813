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

// AwaitImages asks at once, and again when the unit that watches for images has run.
func TestAwaitImages(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	const unit = "archy-recovery-sync@srv-my\\x20store.service"
	f.set(unit, "inactive", "dead", nil)
	f.set("archy-recovery-sync@srv.service", "inactive", "dead", nil)
	asked, done := make(chan bool), make(chan error, 1)
	go func() { done <- NewStorage(m).AwaitImages(soon(t), "/srv/my store", func() bool { return <-asked }) }()
	asked <- false
	f.changed("archy-recovery-sync@srv.service") // of another storage
	f.changed(unit)
	asked <- false
	f.changed(unit)
	asked <- true
	if err := await(t, done, "the image"); err != nil {
		t.Error(err)
	}
	if err := NewStorage(m).AwaitImages(soon(t), "../srv", func() bool { return true }); err == nil {
		t.Error("a path that is not absolute is taken")
	}
}

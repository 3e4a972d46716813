package units

import (
	"errors"
	"testing"

	"archy-recovery/internal/recover"
)

func TestAwaitEnd(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	awaitLook := func() { f.awaitCall("Get") }
	f.set("db.service", "inactive", "dead", nil)
	if err := m.AwaitEnd(soon(t), "db.service"); err != nil {
		t.Error(err)
	}
	awaitLook()

	done := make(chan error, 1)
	wait := func() {
		f.set("db.service", "active", "running", nil)
		go func() { done <- m.AwaitEnd(soon(t), "db.service") }()
		awaitLook()
	}
	wait()
	for _, state := range []string{"reloading", "deactivating"} {
		f.set("db.service", state, "", nil)
		f.changed("db.service")
		awaitLook()
		select {
		case err := <-done:
			t.Fatalf("AwaitEnd returns in state %s: %v", state, err)
		default:
		}
	}
	f.set("db.service", "failed", "failed", nil)
	f.changed("db.service")
	awaitLook()
	if err := await(t, done, "the end"); err != nil {
		t.Error(err)
	}

	wait()
	b.kill()
	if err := await(t, done, "the end of the bus"); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("%v, want ErrNoBus", err)
	}
}

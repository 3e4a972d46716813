package units

import (
	"errors"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

func TestAwaitEnd(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	awaitLook := func() { f.awaitCall("Get") }
	f.set("db.service", "inactive", "dead", nil)
	const since = time.Hour
	if err := m.AwaitEnd(soon(t), "db.service", since); err != nil {
		t.Error(err)
	}
	awaitLook()

	done := make(chan error, 1)
	// entered is when the unit became active, in µs.
	active := func(entered uint64) {
		f.set("db.service", "active", "running", map[string]any{"Unit.ActiveEnterTimestampMonotonic": entered})
	}
	wait := func() {
		active(1)
		go func() { done <- m.AwaitEnd(soon(t), "db.service", since) }()
		awaitLook()
		awaitLook() // at both properties
	}
	wait()
	for _, state := range []string{"deactivating", "deactivating"} {
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
	active(uint64(since.Microseconds()) + 1)
	f.changed("db.service")
	if err := await(t, done, "a new run"); err != nil {
		t.Error(err)
	}
	awaitLook()
	awaitLook()

	wait()
	b.kill()
	if err := await(t, done, "the end of the bus"); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("%v, want ErrNoBus", err)
	}
}

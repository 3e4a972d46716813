package units

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

func TestAwaitEnd(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	// drain forgets the calls that were not awaited.
	drain := func() {
		for len(f.called) > 0 {
			<-f.called
		}
	}
	awaitLook := func() {
		t.Helper()
		f.awaitCall("Get")
	}
	const since = time.Hour
	f.set("db.service", "inactive", "dead", nil)
	if err := m.AwaitEnd(soon(t), "db.service", since); err != nil {
		t.Error(err)
	}

	// entered is when the unit became active, in µs.
	active := func(entered uint64) {
		f.set("db.service", "active", "running", map[string]any{"Unit.ActiveEnterTimestampMonotonic": entered})
	}
	done := make(chan error, 1)
	wait := func() {
		drain()
		active(1)
		go func() { done <- m.AwaitEnd(soon(t), "db.service", since) }()
		awaitLook()
		awaitLook() // at both properties
	}
	wait()
	f.set("db.service", "deactivating", "stop", nil)
	f.changed("db.service")
	awaitLook()
	select {
	case err := <-done:
		t.Fatalf("AwaitEnd returns while the unit ends: %v", err)
	default:
	}
	f.set("db.service", "failed", "failed", nil)
	f.changed("db.service")
	if err := await(t, done, "the end"); err != nil {
		t.Error(err)
	}

	wait()
	active(uint64(since.Microseconds()) + 1)
	f.changed("db.service")
	if err := await(t, done, "a new run"); err != nil {
		t.Error(err)
	}

	wait()
	b.kill()
	if err := await(t, done, "the end of the bus"); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("%v, want ErrNoBus", err)
	}
}

// The waits for more units than the bus takes matches for.
func TestAwaitEndOfMany(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	units := make([]string, maxMatches+10)
	done := make(chan error, len(units))
	for i := range units {
		units[i] = fmt.Sprintf("db%d.service", i)
		f.set(units[i], "deactivating", "stop", nil)
		go func() { done <- m.AwaitEnd(soon(t), units[i], time.Hour) }()
		f.awaitCall("Get")
	}
	for _, unit := range units {
		f.set(unit, "failed", "failed", nil)
		f.changed(unit)
		if err := await(t, done, "the end of "+unit); err != nil {
			t.Fatal(err)
		}
	}
}

// A bus that takes no more matches would leave a wait without its signals.
func TestAwaitEndWithoutMatch(t *testing.T) {
	t.Parallel()
	b := newBus(t, `<limit name="max_match_rules_per_connection">2</limit>`)
	m, f := managerOn(t, b), newSystemd(t, b)
	done := make(chan error, 2)
	for _, unit := range []string{"db.service", "web.service"} {
		f.set(unit, "deactivating", "stop", nil)
		go func() { done <- m.AwaitEnd(soon(t), unit, time.Hour) }()
	}
	for range 2 {
		if err := await(t, done, "the end of the wait"); !errors.Is(err, recover.ErrNoBus) {
			t.Errorf("%v, want ErrNoBus", err)
		}
	}
}

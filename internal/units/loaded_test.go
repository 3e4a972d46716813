package units

import (
	"fmt"
	"testing"
)

// The units are referred to until release, and no name that is not a unit's is passed on.
func TestKeepLoaded(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("db.service", "inactive", "", nil)
	references := func() int {
		if _, err := m.States(soon(t), []string{"db.service"}); err != nil { // after what was sent before
			t.Fatal(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.refs) > 1 {
			t.Errorf("references to %v", f.refs)
		}
		return f.refs["db.service"]
	}
	release := m.KeepLoaded(soon(t), []string{"db.service", "../odd", ""})
	if n := references(); n != 1 {
		t.Errorf("%d references", n)
	}
	release()
	if n := references(); n != 0 {
		t.Errorf("%d references after the release", n)
	}
}

// systemd needs a match on the bus for each reference, and has no more than 512. It needs others besides.
func TestKeepLoadedLeavesMatches(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	var units []string
	for i := range 1000 {
		units = append(units, fmt.Sprintf("c%d.service", i))
	}
	release := m.KeepLoaded(soon(t), units)
	if _, err := m.States(soon(t), units[:1]); err != nil { // after what was sent before
		t.Fatal(err)
	}
	if n := f.count("RefUnit"); n != maxLoaded || n > 256 {
		t.Errorf("%d references", n)
	}
	release()
	if _, err := m.States(soon(t), units[:1]); err != nil {
		t.Fatal(err)
	}
	checkNoReference(t, f)
}

// Without systemd nothing is kept, and nothing fails.
func TestKeepLoadedWithoutBus(t *testing.T) {
	t.Parallel()
	m := New("unix:path=/nonexistent", t.TempDir(), "")
	m.KeepLoaded(soon(t), []string{"db.service"})()
}

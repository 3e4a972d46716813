package units

import "testing"

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

// Without systemd nothing is kept, and nothing fails.
func TestKeepLoadedWithoutBus(t *testing.T) {
	t.Parallel()
	m := New("unix:path=/nonexistent", t.TempDir(), "")
	m.KeepLoaded(soon(t), []string{"db.service"})()
}

package daemon

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// stoppedAt answers for a container whose unit was stopped at a moment, and failed then.
func stoppedAt(moment time.Duration) func(time.Duration) ([]recover.HostEvent, error) {
	return func(since time.Duration) ([]recover.HostEvent, error) {
		if since >= moment {
			return nil, nil
		}
		return recovertest.Story("stopping a.service; died a 143; failed a.service; stopped a.service"), nil
	}
}

// The journal fails once, at the look after a stop whose container exits with 143, and
// another change is saved at that look. The next look asks for the time of the stop
// all the same, and the container leaves the set.
func TestJournalErrorLeavesDoubt(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	h.Marker = recovertest.Crashed
	change := func(do func()) {
		h.Set(do)
		h.Changes <- struct{}{}
		time.Sleep(time.Second) // of the bubble's time
		synctest.Wait()
	}
	during(t, h, func() {
		began := time.Now()
		h.Set(func() { h.JournalNow = func() time.Duration { return time.Hour + time.Since(began) } })
		time.Sleep(time.Minute) // of the bubble's time
		var stop time.Duration
		change(func() {
			stop = h.JournalNow()
			delete(h.Sightings, "a")
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "failed"}
			h.EventsSince = func(time.Duration) ([]recover.HostEvent, error) { return nil, recovertest.ErrBroken }
			h.Plain("p", "running")
		})
		saved, _ := recovertest.Store{H: h}.Snapshot()
		if got := recovertest.Names(saved.Containers); !slices.Equal(got, []string{"a", "b", "p"}) {
			t.Errorf("while it is not known the snapshot holds %q", got)
		}
		if since, doubtful := saved.Doubts["a"]; !doubtful || since >= stop {
			t.Errorf("the doubts on disk are %v, the stop was at %s", saved.Doubts, stop)
		}
		change(func() { h.EventsSince = stoppedAt(stop) })
		saved, _ = recovertest.Store{H: h}.Snapshot()
		if got := recovertest.Names(saved.Containers); !slices.Equal(got, []string{"b", "p"}) {
			t.Errorf("the snapshot holds %q, want b and p", got)
		}
		if len(saved.Doubts) > 0 {
			t.Errorf("doubts are left: %v", saved.Doubts)
		}
	})
}

// The host crashes while it is in doubt whether a member was stopped: the replay asks
// for the time of the doubt, which is before that of the snapshot.
func TestCrashInDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		events func(time.Duration) ([]recover.HostEvent, error)
		want   []string
	}{
		"it was stopped": {stoppedAt(30 * time.Second), []string{"b"}},
		"it failed": {func(time.Duration) ([]recover.HostEvent, error) {
			return recovertest.Story("died a 143; failed a.service"), nil
		}, []string{"a", "b"}},
		"the journal still fails": {func(time.Duration) ([]recover.HostEvent, error) {
			return nil, recovertest.ErrBroken
		}, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b")
			h.Marker, h.EventsSince = recovertest.Crashed, c.events
			h.Snapshot = &recover.Snapshot{BootID: "b1", Monotonic: time.Minute,
				Doubts:     map[string]time.Duration{"a": 20 * time.Second},
				Containers: []recover.Container{{Name: "a", Unit: "a.service"}, {Name: "b", Unit: "b.service"}}}
			if _, _, err := live(t, h, recover.DefaultPolicy()); err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(slices.Values(started(h.History))); !slices.Equal(got, c.want) {
				t.Errorf("started %q, want %q", got, c.want)
			}
		})
	}
}

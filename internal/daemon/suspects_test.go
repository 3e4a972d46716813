package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// withService runs a service on h to READY, under synctest, and stops it after
// do.
func withService(t *testing.T, h *recovertest.Host, do func(*Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newService(h, recover.DefaultPolicy())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		do(s)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func untilReady(s *Service) {
	for {
		st, changed := s.Status()
		if st.State == recover.Ready {
			return
		}
		<-changed
	}
}

func TestSuspects(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host)
		want    map[string]int // strikes
	}{
		"those in flight when the host crashed": {func(h *recovertest.Host) {}, map[string]int{"a": 1, "b": 1}},
		"none after a crash of the service alone": {
			func(h *recovertest.Host) {
				h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 40}}
				h.InFlight.BootID = recovertest.Here.BootID
			}, nil},
		"none when the host was shut down in order": {
			func(h *recovertest.Host) {
				h.BootEnd = recover.BootEnd{
					Tail: []recover.Sign{{Kind: recover.SignShutdownAsked}, {Kind: recover.SignJournalStopped}},
				}
			}, nil},
		"those in flight when the journal does not say": {
			func(h *recovertest.Host) { h.JournalErr = recovertest.ErrBroken }, map[string]int{"a": 1, "b": 1}},
		"those in flight at a crash that the run after it did not live to judge": {
			func(h *recovertest.Host) {
				h.Marker = &recover.Marker{Identity: recover.Identity{BootID: recovertest.Here.BootID, PID: 40}}
			}, map[string]int{"a": 1, "b": 1}},
		"nor the host with it": {
			func(h *recovertest.Host) { h.InFlight.BootID = "b0" }, map[string]int{"a": 1, "b": 1}},
		"none twice for one crash": {
			func(h *recovertest.Host) {
				h.Quarantine = recover.Quarantine{{Name: "a", Strikes: 1, BootID: "b1"}}
			}, map[string]int{"a": 1}},
		"none when the list is lost": {
			func(h *recovertest.Host) { h.InFlight, h.InFlightErr = recover.InFlight{}, recover.ErrLost }, nil},
		"none after a stop in order": {
			func(h *recovertest.Host) { h.Marker = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Ran("a", "b", "c")
			h.Marker = recovertest.Crashed
			h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"a", "b"}}
			c.prepare(h)
			got := map[string]int{}
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				s := newService(h, recover.DefaultPolicy())
				go func() { done <- s.Run(ctx) }()
				synctest.Wait()
				st, _ := s.Status()
				for _, suspect := range st.Quarantine {
					got[suspect.Name] = suspect.Strikes
				}
				stop()
				<-done
			})
			if !maps.Equal(got, c.want) {
				t.Errorf("strikes are %v, want %v", got, c.want)
			}
		})
	}
}

// What was in flight at a crash is on disk until the suspects are.
func TestCrashIsJudgedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		saveErr error
		left    []string // in flight, on disk
	}{
		"and then is over": {nil, nil},
		"or is judged again where that could not be written": {recovertest.ErrBroken, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Ran()
			h.Marker, h.SaveErr = recovertest.Crashed, c.saveErr
			h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"a"}}
			withService(t, h, func(*Service) {
				if f, _ := inFlight(h); !slices.Equal(f.Names, c.left) {
					t.Errorf("in flight are %q, want %q", f.Names, c.left)
				}
			})
		})
	}
}

// One crash that may be power loss changes nothing. With evidence, or after the second,
// suspects start after all others, in groups that are a soak apart. READY does not wait
// for the last one's soak.
func TestSuspectsComeLastInGroups(t *testing.T) {
	const soak = 20
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("s%02d", i))
		}
		return all
	}
	for name, c := range map[string]struct {
		cause    recover.Cause
		crashes  int
		suspects int
		want     []int // second of the start of each suspect
		ready    int
	}{
		"one crash":                     {recover.CausePowerLoss, 1, 3, []int{0, 0, 0}, 0},
		"two crashes":                   {recover.CausePowerLoss, 2, 3, []int{0, 20, 40}, 40},
		"two crashes, and many":         {recover.CausePowerLoss, 2, 8, []int{0, 0, 20, 20, 40, 40, 60, 60}, 60},
		"one with evidence":             {recover.CausePanic, 1, 3, []int{soak, 40, 60}, 60},
		"one with evidence, and nine":   {recover.CausePanic, 1, 9, []int{20, 20, 20, 40, 40, 40, 60, 60, 60}, 60},
		"one that is of unknown origin": {recover.CauseUnknown, 1, 3, []int{0, 0, 0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("other")
			all := names(c.suspects)
			at := map[string]int{}
			var began time.Time
			for _, name := range append(all, "other") {
				h.Quadlet(name)
				h.Start[name+".service"] = func(context.Context, int) (recover.Outcome, error) {
					h.Set(func() { at[name] = int(time.Since(began).Seconds()) })
					return recovertest.Up, nil
				}
			}
			h.Ran(append(all, "other")...)
			h.Marker, h.BootEnd = recovertest.Crashed, signs(c.cause)
			h.InFlight = recover.InFlight{BootID: "b1", Names: all}
			if c.crashes > 1 {
				h.Book = h.Book.Strike(recover.Crash{BootID: "b0", Cause: c.cause, InFlight: all}, nil)
				h.Quarantine = h.Book.Suspects
			}
			synctest.Test(t, func(t *testing.T) {
				began = time.Now()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				s := newService(h, recover.DefaultPolicy())
				go func() { done <- s.Run(ctx) }()
				untilReady(s)
				if took := int(time.Since(began).Seconds()); took != c.ready {
					t.Errorf("READY after %d s, want %d", took, c.ready)
				}
				time.Sleep(soak*time.Second + engine.FlushWithin)
				stop()
				<-done
			})
			var got []int
			for _, name := range all {
				got = append(got, at[name])
			}
			if !slices.Equal(got, c.want) || at["other"] != 0 {
				t.Errorf("suspects start at %v, want %v; the other at %d", got, c.want, at["other"])
			}
			if slices.ContainsFunc(h.Quarantine, func(s recover.Suspect) bool { return s.Lived != 1 }) {
				t.Errorf("one soak leaves %+v", h.Quarantine)
			}
		})
	}
}

// recovered lets a host come up after a crash with the suspects in flight, and
// live through a soak.
func recovered(t *testing.T, h *recovertest.Host, suspects ...string) (report recover.Report) {
	t.Helper()
	h.Marker, h.BootEnd = recovertest.Crashed, signs(recover.CausePanic)
	h.InFlight = recover.InFlight{BootID: "b1", Names: suspects}
	synctest.Test(t, func(t *testing.T) {
		h.Mounted = make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := newService(h, oncePolicy())
		go func() { done <- s.Run(ctx) }()
		untilReady(s)
		time.Sleep(recover.DefaultPolicy().Soak + engine.FlushWithin)
		st, _ := s.Status()
		report = st.Recovery
		stop()
		<-done
	})
	return report
}

func states(r recover.Report) map[string]recover.RowState {
	all := map[string]recover.RowState{}
	for _, row := range r.Rows {
		all[row.Name] = row.State
	}
	return all
}

// A container that waits for a mount does not cost the suspects their turn, whether
// it is one of them or not.
func TestMissingMountDelaysNoSuspect(t *testing.T) {
	for _, waits := range []string{"a", "z"} {
		t.Run(waits, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Quadlet("z").Ran("a", "b", "c", "z")
			h.Binds = map[string][]string{waits: {"/mnt/data"}}
			h.NotMounted = []string{"/mnt/data"}
			want := map[string]recover.RowState{"a": recover.RowUp, "b": recover.RowUp, "c": recover.RowUp, "z": recover.RowUp}
			want[waits] = recover.RowFailed
			if diff := cmp.Diff(want, states(recovered(t, h, "a", "b", "c"))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A mount that comes while suspects are started alone leaves them alone.
func TestWaitEndsBetweenSuspects(t *testing.T) {
	for _, waits := range []string{"a", "z"} { // a suspect, and none
		t.Run(waits, func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Quadlet("z").Ran("a", "b", "c", "z")
			h.Binds = map[string][]string{waits: {"/mnt/data"}}
			h.NotMounted = []string{"/mnt/data"}
			var began time.Time
			at := map[string]int{}
			for _, name := range []string{"a", "b", "c", "z"} {
				h.Start[name+".service"] = func(context.Context, int) (recover.Outcome, error) {
					if len(at) == 0 {
						began = time.Now()
					}
					at[name] = int(time.Since(began).Seconds())
					if name == "b" {
						time.AfterFunc(time.Second, func() { close(h.Mounted) })
					}
					return recovertest.Up, nil
				}
			}
			want := map[string]int{"a": 40, "b": 20, "c": 60, "z": 0}
			if waits == "z" { // suspects need not wait for its soak
				want = map[string]int{"a": 0, "b": 20, "c": 40, "z": 40}
			}
			recovered(t, h, "a", "b", "c")
			if diff := cmp.Diff(want, at); diff != "" {
				t.Errorf("seconds of the starts (-want +got):\n%s", diff)
			}
		})
	}
}

// Each of many suspects has its turn, also where starts take long or hang.
func TestSuspectsTurns(t *testing.T) {
	for name, c := range map[string]struct {
		many, hang int
		takes      time.Duration
	}{
		"slow ones":     {60, 0, 8 * time.Second},
		"some hang":     {20, 5, time.Second},
		"many of many":  {60, 20, time.Second},
		"all but three": {20, 17, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost()
			var all []string
			for i := range c.many {
				name := fmt.Sprintf("c%02d", i)
				all = append(all, name)
				h.Quadlet(name).Start[name+".service"] = recovertest.UpAfter(c.takes)
				if i < c.hang {
					h.Start[name+".service"] = recovertest.Hangs
				}
			}
			counts := recovered(t, h.Ran(all...), all...).Counts()
			if counts[recover.RowUp] != c.many-c.hang {
				t.Errorf("%v, want all up that do not hang", counts)
			}
		})
	}
}

// A suspect that hangs gives way to the next when it has had the time of a tier.
func TestSuspectHangs(t *testing.T) {
	h := recovertest.NewHost().Quadlet("a").Quadlet("b").Ran("a", "b")
	var began time.Time
	h.Start["a.service"] = func(ctx context.Context, attempt int) (recover.Outcome, error) {
		h.Mu.Lock()
		if attempt == 1 {
			began = time.Now()
		}
		h.Mu.Unlock()
		return recovertest.Hangs(ctx, attempt)
	}
	h.Start["b.service"] = func(context.Context, int) (recover.Outcome, error) {
		h.Mu.Lock()
		defer h.Mu.Unlock()
		if after := time.Since(began); after != recover.DefaultPolicy().TierDeadline+recover.DefaultPolicy().Soak {
			t.Errorf("b was started after %s", after)
		}
		return recovertest.Up, nil
	}
	if got := states(recovered(t, h, "a", "b")); got["b"] != recover.RowUp {
		t.Errorf("%v", got)
	}
}

// A suspect that lacks another, which its start does not bring along, waits for
// that one's turn.
func TestSuspectWaitsForAnother(t *testing.T) {
	for _, suspects := range [][]string{{"app", "db"}, {"db"}} {
		h := recovertest.NewHost().Quadlet("app").Quadlet("db").Ran("app", "db")
		h.Start["app.service"] = func(context.Context, int) (recover.Outcome, error) {
			h.Mu.Lock()
			defer h.Mu.Unlock()
			if h.States["db.service"].Active == "active" {
				return recovertest.Up, nil
			}
			return needs("db.service"), nil
		}
		want := map[string]recover.RowState{"app": recover.RowUp, "db": recover.RowUp}
		if diff := cmp.Diff(want, states(recovered(t, h, suspects...))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := started(h.History); !slices.Equal(got, []string{"app", "db", "app"}) {
			t.Errorf("started were %q", got)
		}
	}
}

// Also suspects cannot hold up READY beyond the deadline, and each has its turn.
func TestSuspectsWithinDeadline(t *testing.T) {
	for _, deadline := range []time.Duration{15 * time.Second, 25 * time.Second, 45 * time.Second, 55 * time.Second} {
		t.Run(deadline.String(), func(t *testing.T) {
			h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Ran("a", "b", "c")
			h.Marker, h.BootEnd = recovertest.Crashed, signs(recover.CausePanic)
			h.InFlight = recover.InFlight{BootID: "b1", Names: []string{"a", "b"}}
			p := recover.DefaultPolicy()
			p.Deadline = deadline
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				s := newService(h, p)
				go func() { done <- s.Run(ctx) }()
				untilReady(s)
				if took := time.Since(began); took > deadline {
					t.Errorf("READY after %s", took)
				}
				st, _ := s.Status()
				if n := st.Recovery.Counts()[recover.RowUp]; n != 3 {
					t.Errorf("%d are up, want all: %+v", n, st.Recovery.Counts())
				}
				stop()
				<-done
			})
		})
	}
}

func TestKernelCommandLine(t *testing.T) {
	t.Run("off starts nothing and forgets nothing", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("a").Plain("p", "exited").Ran("a", "p")
		h.Marker = recovertest.Crashed
		p := recover.DefaultPolicy()
		p.Mode = recover.ModeOff
		history, report, err := live(t, h, p)
		if err != nil || len(started(history)) > 0 {
			t.Errorf("%v; started were %q", err, started(history))
		}
		if !strings.Contains(report.Summary(), "2 containers held back") || len(report.Notes) == 0 {
			t.Errorf("it says %q, notes %q", report.Summary(), report.Notes)
		}
		if got := recovertest.Names(h.Snapshot.Containers); !slices.Equal(got, []string{"a", "p"}) {
			t.Errorf("the set is %q", got)
		}
	})
	t.Run("safe starts one at a time in tier order", func(t *testing.T) {
		h := recovertest.NewHost().Quadlet("a").Quadlet("b").Quadlet("c").Ran("a", "b", "c")
		h.Marker = recovertest.Crashed
		p := recover.DefaultPolicy()
		p.Mode, p.Tiers = recover.ModeSafe, map[int]recover.Patterns{0: {"c"}}
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			s := newService(h, p)
			go func() { done <- s.Run(ctx) }()
			untilReady(s)
			if took := time.Since(began).Round(time.Second); took != 3*p.Probation {
				t.Errorf("READY after %s, want three probations", took)
			}
			stop()
			<-done
		})
		if got := started(h.History); !slices.Equal(got, []string{"c", "a", "b"}) {
			t.Errorf("started in the order %q", got)
		}
	})
}

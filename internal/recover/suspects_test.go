package recover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A fleet is containers on a host that one of them takes down. What is in host
// survives a crash as far as it was on disk.
type fleet struct {
	host    *host
	boot    int
	crashes int
	dead    bool // the host, until it boots again

	takes    map[string]time.Duration // how long a start takes
	culprit  string
	deferred string        // it starts at READY, and takes the host down
	after    time.Duration // its start, the host crashes
	requires map[string][]string
}

// die is the host's end: from now on nothing reaches the disk.
func (f *fleet) die() {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	if !f.dead {
		f.dead = true
		f.crashes++
		f.host.dead = true
	}
}

// bootUp is one boot: it lasts until recovery is complete and everybody has
// lived their soak, or until the host dies.
func (f *fleet) bootUp(t *testing.T, p Policy) (complete bool, report Report) {
	synctest.Test(t, func(t *testing.T) {
		h := f.host
		f.boot++
		f.dead, h.dead = false, false
		clear(h.sightings)
		clear(h.tries)
		for unit := range h.units {
			h.states[unit] = UnitState{Loaded: true, Active: "inactive"}
		}
		for name := range f.takes {
			h.start[name+".service"] = func(ctx context.Context, attempt int) (Outcome, error) {
				return f.started(ctx, name)
			}
		}
		s := NewService(World{h, h, h, h, h, h, slog.New(slog.NewTextHandler(io.Discard, nil)), false, nil}, p,
			Identity{BootID: fmt.Sprint("b", f.boot), PID: 1})
		ctx, cut := context.WithCancel(t.Context())
		h.died = cut
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Run(ctx)
		}()
		limit := time.After(p.Deadline + p.Soak + time.Minute)
		if f.deferred != "" {
			go func() {
				untilReady(s)
				if _, started := h.tries[f.deferred+".service"]; started {
					time.Sleep(time.Second)
					f.die()
					cut()
				}
			}()
		}
		select {
		case <-ctx.Done(): // the crash
		case <-limit:
			st, _ := s.Status()
			complete, report = st.RecoveryComplete, st.Recovery
			f.die() // a power cut, so that what is on disk stays as it is
			f.crashes--
			cut()
		}
		<-done
		s.flight.Close()
	})
	return complete, report
}

// started is what a container's start does: what it requires is started along,
// and the culprit takes the host down.
func (f *fleet) started(ctx context.Context, name string) (Outcome, error) {
	for _, other := range f.requires[name] {
		f.host.mu.Lock()
		active := f.host.states[other+".service"].Active == "active"
		f.host.mu.Unlock()
		if !active {
			if o, err := f.started(ctx, other); err != nil {
				return o, err
			}
			f.host.mu.Lock()
			f.host.states[other+".service"] = up.UnitState
			f.host.sightings[other] = Sighting{Container: Container{Name: other, Unit: other + ".service"}, State: "running"}
			f.host.mu.Unlock()
		}
	}
	if name == f.deferred {
		return Outcome{}, ErrOrderedAfterUs
	}
	if name == f.culprit {
		time.AfterFunc(f.after, func() {
			f.die()
			f.host.died()
		})
	}
	return upAfter(f.takes[name])(ctx, 1)
}

func newFleet(t *testing.T) *fleet {
	h := newHost(t)
	h.marker = &Marker{Identity: Identity{BootID: "b0", PID: 1}}
	h.snapshot = &Snapshot{}
	return &fleet{host: h, takes: map[string]time.Duration{}, requires: map[string][]string{}}
}

func (f *fleet) add(name string, tier int, takes time.Duration, requires ...string) {
	f.host.quadlet(name)
	f.host.snapshot.Containers = append(f.host.snapshot.Containers, Container{Name: name, Tier: &tier})
	u := f.host.units[name+".service"]
	u.Container.Tier = &tier
	f.host.units[name+".service"] = u
	f.takes[name], f.requires[name] = takes, requires
	f.host.pulls = map[string][]string{}
	for name := range f.requires {
		f.host.pulls[name+".service"] = f.brings(name)
	}
}

// brings lists the units that a container's start brings along.
func (f *fleet) brings(name string) []string {
	var units []string
	for _, other := range f.requires[name] {
		units = append(append(units, other+".service"), f.brings(other)...)
	}
	return units
}

// With any number of containers in flight and one culprit, the host is
// recovered, without the culprit, after at most two further crashes; and nobody
// else is quarantined.
func TestAHostIsRecoveredWithoutItsCulprit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFleet(t)
		p := DefaultPolicy()
		p.MaxParallel = rapid.IntRange(1, 6).Draw(rt, "parallel")
		n := rapid.IntRange(1, 8).Draw(rt, "containers")
		seconds := func(max int, what string) time.Duration {
			return time.Duration(rapid.IntRange(0, max*10).Draw(rt, what)) * 100 * time.Millisecond
		}
		var names []string
		var tiers []int
		for i := range n {
			name := fmt.Sprint("c", i)
			tier := rapid.IntRange(0, 4).Draw(rt, "tier")
			var requires []string
			if i > 0 && rapid.IntRange(0, 3).Draw(rt, "requires") == 0 {
				whom := rapid.IntRange(0, i-1).Draw(rt, "whom")
				requires = []string{names[whom]}
				tier = max(tier, tiers[whom]) // who is needed comes no later
			}
			f.add(name, tier, seconds(30, "takes"), requires...)
			names, tiers = append(names, name), append(tiers, tier)
		}
		f.culprit = rapid.SampledFrom(names).Draw(rt, "culprit")
		f.after = seconds(20, "dies after") - time.Millisecond
		if rapid.Bool().Draw(rt, "counted from when it is up") {
			f.after += f.takes[f.culprit]
		} else {
			f.after = min(f.after, f.takes[f.culprit]+p.Soak-time.Millisecond)
		}

		var report Report
		for complete := false; !complete; {
			if complete, report = f.bootUp(t, p); !complete && f.crashes > 3 {
				rt.Fatalf("%d crashes, and the suspects are %+v", f.crashes, f.host.quarantine)
			}
		}
		for _, row := range report.Rows {
			needs := slices.Contains(f.brings(row.Name), f.culprit+".service")
			want := RowUp
			if row.Name == f.culprit || needs {
				want = RowQuarantined
			}
			if row.State != want && !(want == RowUp && row.State == RowActive) {
				rt.Errorf("%s is %s (%s), want %s", row.Name, row.State, row.Error, want)
			}
		}
		if len(report.Rows) != n {
			rt.Errorf("%d of %d containers are in the report", len(report.Rows), n)
		}
		if got := f.host.userStopped; !slices.Equal(got, []string{f.culprit}) {
			rt.Errorf("user-stopped are %q, want only %q", got, f.culprit)
		}
	})
}

// fly is a fleet of three in a row that needs no luck: b takes the host down
// when it is up.
func fly(t *testing.T) *fleet {
	f := newFleet(t)
	f.add("a", 0, time.Second)
	f.add("b", 1, time.Second)
	f.add("c", 2, time.Second)
	f.culprit, f.after = "b", 1500*time.Millisecond
	return f
}

func TestTheStoryOfACulprit(t *testing.T) {
	f, p := fly(t), DefaultPolicy()
	h := f.host
	wantDisk := func(inFlight []string, strikes map[string]int) {
		t.Helper()
		got := map[string]int{}
		for _, s := range h.quarantine {
			got[s.Name] = s.Strikes
		}
		if diff := cmp.Diff(strikes, got); diff != "" {
			t.Errorf("strikes (-want +got):\n%s", diff)
		}
		if !slices.Equal(h.inFlight.Names, inFlight) {
			t.Errorf("in flight are %q, want %q", h.inFlight.Names, inFlight)
		}
	}
	if complete, _ := f.bootUp(t, p); complete {
		t.Fatal("the first boot did not crash")
	}
	wantDisk([]string{"a", "b", "c"}, map[string]int{})
	// All three are suspects and are started one after another; b takes the
	// host down 1.5 s after its start.
	h.history = nil
	f.bootUp(t, p)
	if got := started(h.history); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("started were %q, want a, and then b alone", got)
	}
	wantDisk([]string{"a", "b"}, map[string]int{"a": 1, "b": 1, "c": 1})
	// Two strikes: last, and alone until the soak is over.
	h.history = nil
	f.bootUp(t, p)
	if got := started(h.history); !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("started were %q, want first who has one strike", got)
	}
	wantDisk([]string{"b"}, map[string]int{"b": 2})
	complete, report := f.bootUp(t, p)
	if !complete {
		t.Fatal("the fourth boot crashed too")
	}
	wantDisk(nil, map[string]int{"b": 3}) // c has lived its soak
	if b, _ := h.quarantine.Find("b"); !b.Quarantined || !b.Listed {
		t.Errorf("b is %+v, want it quarantined and on the user-stopped list by us", b)
	}
	if got := report.Summary(); !strings.Contains(got, "1 quarantined") {
		t.Errorf("the summary is %q", got)
	}
	if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the set is %q: b is forgotten, or another", got)
	}
}

// quarantined is a host whose b is quarantined, and has just crashed in peace.
func quarantined(t *testing.T) *host {
	h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
	h.marker = crashed
	h.userStopped = []string{"b"}
	h.definition = map[string]string{"b.service": "one"}
	view := Look(t.Context(), h, h, nil)
	b := Suspect{Name: "b", Strikes: 2, BootID: "b0", Quarantined: true, Listed: true, Image: "i"}
	h.images = map[string]string{"i": "old"}
	b.Fingerprint = h.service(DefaultPolicy()).fingerprint(t.Context(), b, view)
	h.quarantine = Quarantine{b}
	return h
}

func TestAQuarantinedContainer(t *testing.T) {
	for name, c := range map[string]struct {
		prepare         func(h *host)
		want            []string // started
		wantUserStopped []string
	}{
		"stays where it is": {func(*host) {}, []string{"a"}, []string{"b"}},
		"gets a chance when its unit is changed": {
			func(h *host) { h.definition["b.service"] = "two" }, []string{"a", "b"}, nil},
		"gets a chance when its image is changed": {
			func(h *host) { h.images["i"] = "new" }, []string{"a", "b"}, nil},
		"gets a chance when it is made of another image": {
			func(h *host) {
				h.plain("b", "exited").sightings["b"] = Sighting{Container: Container{Name: "b", Image: "j", Unit: "b.service"}, State: "exited"}
				h.images["j"] = "other"
			}, []string{"a", "b"}, nil},
		"gets none for being there again": {
			func(h *host) {
				h.sightings["b"] = Sighting{Container: Container{Name: "b", Image: "i", Unit: "b.service"}, State: "exited"}
			}, []string{"a"}, []string{"b"}},
		"gets none when it cannot be told whether it is another one": {
			func(h *host) {
				h.units["b.service"] = ContainerUnit{"b.service", Container{Name: "b", Image: "i"}}
				h.podmanErr = errBroken
			}, []string{"a"}, []string{"b"}},
		"stays user-stopped when it changes and the user had put it there": {
			func(h *host) {
				h.quarantine[0].Listed = false
				h.definition["b.service"] = "two"
			}, []string{"a"}, []string{"b"}},
		"stays where it is when someone takes its name off the list": {
			func(h *host) { h.userStopped = nil }, []string{"a"}, nil},
		"stays where it is when the list of suspects is lost": {
			func(h *host) { h.quarantine, h.quarantineErr = nil, ErrLost }, []string{"a"}, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := quarantined(t)
			c.prepare(h)
			history, _, err := live(t, h, DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(slices.Values(started(history))); !slices.Equal(got, c.want) {
				t.Errorf("started were %q, want %q", got, c.want)
			}
			if !slices.Equal(h.userStopped, c.wantUserStopped) {
				t.Errorf("user-stopped are %q, want %q", h.userStopped, c.wantUserStopped)
			}
		})
	}
}

// A name that we listed and cannot take off the list again is no word of the
// user: the container is started, and not forgotten.
func TestASecondChanceDoesNotHangOnTheList(t *testing.T) {
	h := quarantined(t)
	h.definition["b.service"] = "two"
	h.editErr = ErrBusy
	withService(t, h, func(s *Service) {
		untilReady(s)
		synctest.Wait()
		set, _ := h.Snapshot()
		if got := names(set.Containers); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the set is %q", got)
		}
		time.Sleep(DefaultPolicy().Soak)
		h.mu.Lock()
		h.editErr = nil
		h.mu.Unlock()
		for range 2 { // that it runs, and then that it has run for a soak
			_, _ = s.TakeSnapshot(context.Background())
			time.Sleep(DefaultPolicy().Soak)
		}
	})
	if got := slices.Sorted(slices.Values(started(h.history))); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("started were %q", got)
	}
	if len(h.quarantine) > 0 || len(h.userStopped) > 0 {
		t.Errorf("left are %+v and the list %q", h.quarantine, h.userStopped)
	}
}

// A release that cannot be done is not said to be done.
func TestAReleaseThatFails(t *testing.T) {
	t.Run("for the list", func(t *testing.T) {
		h := quarantined(t)
		h.editErr = ErrBusy
		withService(t, h, func(s *Service) {
			if err := s.Release("b"); !errors.Is(err, ErrBusy) {
				t.Errorf("%v, want ErrBusy", err)
			}
			if st, _ := s.Status(); !st.Quarantine[0].Quarantined || !h.quarantine[0].Listed {
				t.Errorf("%+v is in quarantine, on disk %+v", st.Quarantine, h.quarantine)
			}
		})
	})
	t.Run("for the disk", func(t *testing.T) {
		h := quarantined(t)
		withService(t, h, func(s *Service) {
			h.mu.Lock()
			h.userStopped, h.writeErr = nil, errBroken
			h.mu.Unlock()
			if err := s.Release("b"); !errors.Is(err, errBroken) {
				t.Errorf("%v, want that it cannot be written", err)
			}
		})
	})
}

// A container that a unit runs is gone from podman after a crash: what it was made
// of the set remembers.
func TestTheImageOfAQuarantinedContainerIsRemembered(t *testing.T) {
	h := newHost(t).quadlet("b").ran()
	h.snapshot.Containers = []Container{{Name: "b", Image: "i"}}
	h.images = map[string]string{"i": "old"}
	h.definition = map[string]string{"b.service": "one"}
	h.marker = crashed
	h.inFlight = InFlight{BootID: "b1", Names: []string{"b"}}
	h.quarantine = Quarantine{{Name: "b", Strikes: 1, BootID: "b0"}}
	if _, report, _ := live(t, h, DefaultPolicy()); states(report)["b"] != RowQuarantined {
		t.Fatalf("%v", states(report))
	}
	h.marker, h.images = crashed, map[string]string{"i": "new"}
	if history, report, _ := live(t, h, DefaultPolicy()); !slices.Equal(started(history), []string{"b"}) {
		t.Errorf("%v, though its image is another one", states(report))
	}
}

func TestReleasing(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		if err := s.Release("b"); err != nil {
			t.Error(err)
		}
		if err := s.Release("b"); err == nil {
			t.Error("released twice")
		}
		if err := s.Release("../b"); err == nil {
			t.Error("a name that is none was taken")
		}
	})
	if len(h.quarantine) > 0 || len(h.userStopped) > 0 {
		t.Errorf("left are %+v and the list %q", h.quarantine, h.userStopped)
	}
	h.marker, h.history = &Marker{Identity: Identity{BootID: "b1"}}, nil
	delete(h.sightings, "a")
	h.states["a.service"] = UnitState{Loaded: true, Active: "inactive"}
	history, _, _ := live(t, h, DefaultPolicy())
	if got := slices.Sorted(slices.Values(started(history))); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after the next crash %q were started", got)
	}
}

func TestOneThatSomeoneStartsIsForgivenWhenTheHostLives(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		h.mu.Lock()
		h.sightings["b"] = Sighting{Container: Container{Name: "b", Unit: "b.service"}, State: "running"}
		h.states["b.service"] = UnitState{Loaded: true, Active: "active"}
		h.mu.Unlock()
		_, _ = s.TakeSnapshot(context.Background())
		if len(h.quarantine) == 0 {
			t.Error("forgiven at once")
		}
		runs := func(yes bool) {
			h.mu.Lock()
			defer h.mu.Unlock()
			b := h.sightings["b"]
			b.State = map[bool]ContainerState{true: "running", false: "exited"}[yes]
			h.sightings["b"] = b
		}
		for _, yes := range []bool{true, false, true} { // not long enough each time
			runs(yes)
			_, _ = s.TakeSnapshot(context.Background())
			time.Sleep(DefaultPolicy().Soak / 2)
			if len(h.quarantine) == 0 {
				t.Error("forgiven too early")
			}
		}
		_, _ = s.TakeSnapshot(context.Background())
		if len(h.quarantine) == 0 {
			t.Error("forgiven before it had run for a soak")
		}
		time.Sleep(DefaultPolicy().Soak)
		_, _ = s.TakeSnapshot(context.Background())
	})
	if len(h.quarantine) > 0 || len(h.userStopped) > 0 {
		t.Errorf("left are %+v and the list %q", h.quarantine, h.userStopped)
	}
}

func TestTheUsersWordOnAQuarantinedNameStands(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		if _, err := s.SetUserStopped("b", true); err != nil {
			t.Error(err)
		}
		if err := s.Release("b"); err != nil {
			t.Error(err)
		}
	})
	if !slices.Equal(h.userStopped, []string{"b"}) {
		t.Errorf("the list is %q, want b, which the user put there", h.userStopped)
	}
}

// Another program takes the name off the list, and later a user puts it there.
func TestANameThatCameBackIsTheUsersWord(t *testing.T) {
	h := quarantined(t)
	withService(t, h, func(s *Service) {
		for _, list := range [][]string{nil, {"b"}} {
			h.mu.Lock()
			h.userStopped = list
			h.mu.Unlock()
			_, _ = s.TakeSnapshot(context.Background())
		}
		if err := s.Release("b"); err != nil {
			t.Error(err)
		}
	})
	if !slices.Equal(h.userStopped, []string{"b"}) {
		t.Errorf("the list is %q, want b, which the user put there", h.userStopped)
	}
}

// withService runs a service on h to READY, under synctest, and stops it after
// do.
func withService(t *testing.T, h *host, do func(*Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := h.service(DefaultPolicy())
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
		if st.State == Ready {
			return
		}
		<-changed
	}
}

func TestWhoIsSuspected(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *host)
		want    map[string]int // strikes
	}{
		"those in flight when the host crashed": {func(h *host) {}, map[string]int{"a": 1, "b": 1}},
		"nobody after a crash of the service alone": {
			func(h *host) {
				h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 40}}
				h.inFlight.BootID = here.BootID
			}, nil},
		"nobody when the host was shut down in order": {
			func(h *host) {
				h.bootEnd = BootEnd{Tail: []Sign{{Kind: SignShutdownAsked}, {Kind: SignJournalStopped}}}
			}, nil},
		"those in flight when the journal does not say": {
			func(h *host) { h.journalErr = errBroken }, map[string]int{"a": 1, "b": 1}},
		"those in flight at a crash that the run after it did not live to judge": {
			func(h *host) { h.marker = &Marker{Identity: Identity{BootID: here.BootID, PID: 40}} }, map[string]int{"a": 1, "b": 1}},
		"nor the host with it": {
			func(h *host) { h.inFlight.BootID = "b0" }, map[string]int{"a": 1, "b": 1}},
		"nobody twice for one crash": {
			func(h *host) {
				h.quarantine = Quarantine{{Name: "a", Strikes: 1, BootID: "b1"}}
			}, map[string]int{"a": 1, "b": 1}},
		"nobody when the list is lost": {
			func(h *host) { h.inFlight, h.inFlightErr = InFlight{}, ErrLost }, nil},
		"nobody after a stop in order": {
			func(h *host) { h.marker = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").quadlet("c").ran("a", "b", "c")
			h.marker = crashed
			h.inFlight = InFlight{BootID: "b1", Names: []string{"a", "b"}}
			c.prepare(h)
			got := map[string]int{}
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				s := h.service(DefaultPolicy())
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
func TestACrashIsJudgedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		saveErr error
		left    []string // in flight, on disk
	}{
		"and then is over": {nil, nil},
		"or is judged again where that could not be written": {errBroken, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").ran()
			h.marker, h.saveErr = crashed, c.saveErr
			h.inFlight = InFlight{BootID: "b1", Names: []string{"a"}}
			withService(t, h, func(*Service) {
				if f, _ := h.InFlight(); !slices.Equal(f.Names, c.left) {
					t.Errorf("in flight are %q, want %q", f.Names, c.left)
				}
			})
		})
	}
}

func TestSuspectsComeLastAndAlone(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b").quadlet("c").quadlet("d").ran("a", "b", "c", "d")
	h.marker = crashed
	h.inFlight = InFlight{BootID: "b1", Names: []string{"a", "b"}}
	h.pulls = map[string][]string{"d.service": {"a.service"}} // so it needs a
	var moments []string
	began := time.Time{}
	for _, name := range []string{"a", "b", "c", "d"} {
		h.start[name+".service"] = func(context.Context, int) (Outcome, error) {
			moments = append(moments, fmt.Sprintf("%s %.0f", name, time.Since(began).Seconds()))
			return up, nil
		}
	}
	p := DefaultPolicy()
	p.Tiers = map[int]Patterns{0: {"b"}}
	synctest.Test(t, func(t *testing.T) {
		began = time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := h.service(p)
		go func() { done <- s.Run(ctx) }()
		untilReady(s)
		if took := time.Since(began).Round(time.Second); took != 50*time.Second {
			t.Errorf("READY after %s, want the soak of c and three probations", took)
		}
		time.Sleep(p.Soak)
		synctest.Wait()
		stop()
		<-done
	})
	// c's soak, then the suspects by tier, then what needs one.
	want := []string{"c 0", "b 20", "a 30", "d 40"}
	if diff := cmp.Diff(want, moments); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
	if len(h.quarantine) != 0 {
		t.Errorf("still suspected: %+v", h.quarantine)
	}
}

// recovered lets a host come up after a crash with the suspects in flight, and
// live through a soak.
func recovered(t *testing.T, h *host, suspects ...string) (report Report) {
	t.Helper()
	h.marker = crashed
	h.inFlight = InFlight{BootID: "b1", Names: suspects}
	synctest.Test(t, func(t *testing.T) {
		h.mounted = make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := h.service(DefaultPolicy())
		go func() { done <- s.Run(ctx) }()
		untilReady(s)
		time.Sleep(DefaultPolicy().Soak + flushWithin)
		st, _ := s.Status()
		report = st.Recovery
		stop()
		<-done
	})
	return report
}

func states(r Report) map[string]RowState {
	all := map[string]RowState{}
	for _, row := range r.Rows {
		all[row.Name] = row.State
	}
	return all
}

// Who waits for a mount does not cost the suspects their turn, be it one of them
// or not.
func TestAMissingMountDoesNotCostTheSuspects(t *testing.T) {
	for _, waits := range []string{"a", "z"} {
		t.Run(waits, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").quadlet("c").quadlet("z").ran("a", "b", "c", "z")
			h.binds = map[string][]string{waits: {"/mnt/data"}}
			h.notMounted = []string{"/mnt/data"}
			want := map[string]RowState{"a": RowUp, "b": RowUp, "c": RowUp, "z": RowUp}
			want[waits] = RowFailed
			if diff := cmp.Diff(want, states(recovered(t, h, "a", "b", "c"))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A mount that comes while suspects are started alone leaves them alone.
func TestWhoWaitedIsStartedBetweenTheSuspects(t *testing.T) {
	for _, waits := range []string{"a", "z"} { // a suspect, and none
		t.Run(waits, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").quadlet("c").quadlet("z").ran("a", "b", "c", "z")
			h.binds = map[string][]string{waits: {"/mnt/data"}}
			h.notMounted = []string{"/mnt/data"}
			var began time.Time
			at := map[string]int{}
			for _, name := range []string{"a", "b", "c", "z"} {
				h.start[name+".service"] = func(context.Context, int) (Outcome, error) {
					if len(at) == 0 {
						began = time.Now()
					}
					at[name] = int(time.Since(began).Seconds())
					if name == "b" {
						time.AfterFunc(time.Second, func() { close(h.mounted) })
					}
					return up, nil
				}
			}
			want := map[string]int{"a": 30, "b": 20, "c": 40, "z": 0}
			if waits == "z" { // suspects need not wait for a soak, but for its tier
				want = map[string]int{"a": 0, "b": 10, "c": 40, "z": 20}
			}
			recovered(t, h, "a", "b", "c")
			if diff := cmp.Diff(want, at); diff != "" {
				t.Errorf("seconds of the starts (-want +got):\n%s", diff)
			}
		})
	}
}

// Each of many suspects has its turn, also where starts take long or hang.
func TestEverySuspectHasItsTurn(t *testing.T) {
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
			h := newHost(t)
			var all []string
			for i := range c.many {
				name := fmt.Sprintf("c%02d", i)
				all = append(all, name)
				h.quadlet(name).start[name+".service"] = upAfter(c.takes)
				if i < c.hang {
					h.start[name+".service"] = hangs
				}
			}
			counts := recovered(t, h.ran(all...), all...).Counts()
			if counts[RowUp] != c.many-c.hang {
				t.Errorf("%v, want all up that do not hang", counts)
			}
		})
	}
}

// A suspect that hangs gives way to the next when it has had the time of a tier.
func TestASuspectThatHangsGivesWay(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
	var began time.Time
	h.start["a.service"] = func(ctx context.Context, attempt int) (Outcome, error) {
		h.mu.Lock()
		if attempt == 1 {
			began = time.Now()
		}
		h.mu.Unlock()
		return hangs(ctx, attempt)
	}
	h.start["b.service"] = func(context.Context, int) (Outcome, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if after := time.Since(began); after != DefaultPolicy().TierDeadline+DefaultPolicy().Probation {
			t.Errorf("b was started after %s", after)
		}
		return up, nil
	}
	if got := states(recovered(t, h, "a", "b")); got["b"] != RowUp {
		t.Errorf("%v", got)
	}
}

// A suspect that lacks another, which its start does not bring along, waits for
// that one's turn.
func TestASuspectWaitsForAnother(t *testing.T) {
	for _, suspects := range [][]string{{"app", "db"}, {"db"}} {
		h := newHost(t).quadlet("app").quadlet("db").ran("app", "db")
		h.start["app.service"] = func(context.Context, int) (Outcome, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.states["db.service"].Active == "active" {
				return up, nil
			}
			return needs("db.service"), nil
		}
		want := map[string]RowState{"app": RowUp, "db": RowUp}
		if diff := cmp.Diff(want, states(recovered(t, h, suspects...))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := started(h.history); !slices.Equal(got, []string{"app", "db", "app"}) {
			t.Errorf("started were %q", got)
		}
	}
}

// Two power cuts while nothing but it was in flight would quarantine it, and it
// was not even started.
func TestWhoWaitsForAMountIsNotSuspected(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	h.binds = map[string][]string{"a": {"/mnt/data"}}
	h.notMounted = []string{"/mnt/data"}
	synctest.Test(t, func(t *testing.T) {
		h.mounted = make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.service(DefaultPolicy()).Run(ctx) }()
		time.Sleep(2 * flushWithin)
		if f, _ := h.InFlight(); len(f.Names) > 0 {
			t.Errorf("%q are in flight, and wait for a mount", f.Names)
		}
		h.start["a.service"] = upAfter(time.Second)
		close(h.mounted)
		synctest.Wait()
		if f, _ := h.InFlight(); !slices.Equal(f.Names, []string{"a"}) {
			t.Errorf("%q are in flight, want a, which is being started", f.Names)
		}
		stop()
		<-done
	})
}

// Also suspects cannot hold up READY beyond the deadline.
func TestProbationEndsAtTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		deadline time.Duration
		up       int
	}{
		"while one is alone":     {25 * time.Second, 1},
		"before any of them":     {15 * time.Second, 0},
		"between two of them":    {45 * time.Second, 2},
		"in the last one's soak": {55 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).quadlet("a").quadlet("b").quadlet("c").ran("a", "b", "c")
			h.marker = crashed
			h.inFlight = InFlight{BootID: "b1", Names: []string{"a", "b"}}
			h.quarantine = Quarantine{{Name: "a", Strikes: 1, BootID: "b0"}, {Name: "b", Strikes: 1, BootID: "b0"}}
			p := DefaultPolicy()
			p.Deadline = c.deadline
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				s := h.service(p)
				go func() { done <- s.Run(ctx) }()
				untilReady(s)
				if took := time.Since(began); took > c.deadline {
					t.Errorf("READY after %s", took)
				}
				st, _ := s.Status()
				if n := st.Recovery.Counts()[RowUp]; n != c.up+1 { // and c
					t.Errorf("%d are up, want %d suspects and c: %+v", n, c.up, st.Recovery.Counts())
				}
				stop()
				<-done
			})
		})
	}
}

func TestTheKernelCommandLine(t *testing.T) {
	t.Run("off starts nothing and forgets nothing", func(t *testing.T) {
		h := newHost(t).quadlet("a").plain("p", "exited").ran("a", "p")
		h.marker = crashed
		p := DefaultPolicy()
		p.Mode = ModeOff
		history, report, err := live(t, h, p)
		if err != nil || len(started(history)) > 0 {
			t.Errorf("%v; started were %q", err, started(history))
		}
		if !strings.Contains(report.Summary(), "2 containers held back") || len(report.Notes) == 0 {
			t.Errorf("it says %q, notes %q", report.Summary(), report.Notes)
		}
		if got := names(h.snapshot.Containers); !slices.Equal(got, []string{"a", "p"}) {
			t.Errorf("the set is %q", got)
		}
	})
	t.Run("safe starts one at a time in tier order", func(t *testing.T) {
		h := newHost(t).quadlet("a").quadlet("b").quadlet("c").ran("a", "b", "c")
		h.marker = crashed
		p := DefaultPolicy()
		p.Mode, p.Tiers = ModeSafe, map[int]Patterns{0: {"c"}}
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			s := h.service(p)
			go func() { done <- s.Run(ctx) }()
			untilReady(s)
			if took := time.Since(began).Round(time.Second); took != 3*p.Probation {
				t.Errorf("READY after %s, want three probations", took)
			}
			stop()
			<-done
		})
		if got := started(h.history); !slices.Equal(got, []string{"c", "a", "b"}) {
			t.Errorf("started in the order %q", got)
		}
	})
}

func TestInFlightIsOnDiskFromBeforeTheStartUntilTheSoakIsOver(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
	h.marker = crashed
	h.start["b.service"] = upAfter(15 * time.Second)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.service(DefaultPolicy()).Run(ctx) }()
		for _, step := range []struct {
			at   time.Duration
			want string
		}{
			{0, "a b"}, {19 * time.Second, "a b"}, {22 * time.Second, "b"}, {34 * time.Second, "b"}, {37 * time.Second, ""},
		} {
			time.Sleep(step.at - time.Since(began))
			synctest.Wait()
			f, _ := h.InFlight()
			if got := strings.Join(f.Names, " "); got != step.want {
				t.Errorf("after %s %q are in flight, want %q", step.at, got, step.want)
			}
		}
		stop()
		<-done
	})
}

// Who is ordered after us starts at READY.
func TestOneThatStartsAtReadyIsNotInFlightBefore(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
	h.marker = crashed
	h.start["a.service"] = func(context.Context, int) (Outcome, error) { return Outcome{}, ErrOrderedAfterUs }
	h.start["b.service"] = upAfter(10 * time.Second)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := h.service(DefaultPolicy())
		go func() { done <- s.Run(ctx) }()
		time.Sleep(2 * flushWithin)
		if f, _ := h.InFlight(); !slices.Equal(f.Names, []string{"b"}) {
			t.Errorf("%q are in flight before READY, want b", f.Names)
		}
		untilReady(s)
		if f, _ := h.InFlight(); !slices.Equal(f.Names, []string{"a", "b"}) {
			t.Errorf("%q are in flight at READY, want both", f.Names)
		}
		stop()
		<-done
	})
}

// And nobody else is suspected for it.
func TestOneThatStartsAtReadyIsFound(t *testing.T) {
	f := newFleet(t)
	f.add("a", 0, 0)
	f.add("b", 0, 25*time.Second)
	f.deferred = "a"
	p := DefaultPolicy()
	for range 3 {
		if complete, _ := f.bootUp(t, p); complete {
			break
		}
	}
	complete, report := f.bootUp(t, p)
	if diff := cmp.Diff(map[string]RowState{"a": RowQuarantined, "b": RowUp}, states(report)); !complete || diff != "" {
		t.Errorf("complete: %v, after %d crashes (-want +got):\n%s", complete, f.crashes, diff)
	}
	if len(f.host.quarantine) != 1 {
		t.Errorf("suspected are %+v", f.host.quarantine)
	}
}

// A disk that is full for a while does not leave behind what is no longer so.
func TestWhatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	h := newHost(t).quadlet("a").quadlet("b").ran("a", "b")
	h.marker = crashed
	h.inFlight = InFlight{BootID: "b1", Names: []string{"b"}}
	full := func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.writeErr = err
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := h.service(DefaultPolicy())
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		full(errBroken)
		untilReady(s)
		time.Sleep(time.Minute)
		st, _ := s.Status()
		if len(h.inFlight.Names) == 0 || len(h.quarantine) == 0 || len(st.Quarantine) > 0 {
			t.Errorf("in flight are %q, suspected %+v: it was to be out of date", h.inFlight.Names, h.quarantine)
		}
		if _, err := s.TakeSnapshot(ctx); err == nil {
			t.Error("a snapshot was written to a full disk")
		}
		after, _ := s.Status()
		if len(after.Recovery.Notes) != len(st.Recovery.Notes) {
			t.Errorf("noted again: %q", after.Recovery.Notes)
		}
		full(nil)
		_, _ = s.TakeSnapshot(ctx)
		if len(h.inFlight.Names) > 0 || len(h.quarantine) > 0 {
			t.Errorf("in flight are %q, suspected %+v", h.inFlight.Names, h.quarantine)
		}
		stop()
		<-done
	})
}

// A recovery that is stopped in order leaves nobody in flight.
func TestAStopInOrderLeavesNobodyInFlight(t *testing.T) {
	h := newHost(t).quadlet("a").ran("a")
	h.marker = crashed
	h.start["a.service"] = hangs
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		_ = h.service(DefaultPolicy()).Run(ctx)
	})
	if len(h.inFlight.Names) > 0 || h.marker == nil {
		t.Errorf("in flight are %q, the marker is %v", h.inFlight.Names, h.marker)
	}
}

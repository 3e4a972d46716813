package daemon

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A saga is a host through many boots, on the real engine and with the real policy.
// What it has on disk survives each crash, as far as it was there.
type saga struct {
	t      *testing.T
	host   *recovertest.Host
	policy recover.Policy
	rnd    *rand.Rand
	boots  int
	last   recover.Cause // why the boot before ended; "" before the first
	plain  time.Duration // how long a recovery takes without suspects
	names  []string
	takes  map[string]time.Duration
	pulls  map[string][]string // containers that a start brings along
	units  map[string]string   // the unit of those that share one
	up     map[string]bool     // in this boot

	culprit string
	after   time.Duration // its start, the host crashes
	odds    int           // it strikes in one of so many starts
	cause   recover.Cause // of the crashes of the culprit and of the host itself
}

// An epoch is how one boot went.
type epoch struct {
	ready   time.Duration // from the start of the service, 0 if it did not come so far
	crashed bool          // by the culprit, before its time was over
	down    []string      // what did not run at the end
	inTiers bool          // no container was up before those of lower tiers were tried
	admits  bool          // it said that no container explains the crashes
}

// bootDelay is from the start of the kernel to the start of the service.
const bootDelay = 5 * time.Second

// newSaga is a host with containers in five tiers that has recovered once, and then
// lost its power while nothing was in flight.
func newSaga(t *testing.T, rnd *rand.Rand, containers int) *saga {
	h := recovertest.NewHost()
	h.Snapshot = &recover.Snapshot{}
	s := &saga{t: t, host: h, policy: recover.DefaultPolicy(), rnd: rnd, odds: 1, cause: recover.CausePowerLoss,
		takes: map[string]time.Duration{}, pulls: map[string][]string{}, units: map[string]string{}}
	h.Marker = &recover.Marker{Identity: recover.Identity{BootID: "b0", PID: 1}}
	h.Pulls = map[string][]string{}
	for i := range containers {
		s.add(fmt.Sprintf("c%02d", i), s.rnd.IntN(5), s.upTo(2*time.Second))
	}
	return s
}

func (s *saga) upTo(most time.Duration) time.Duration {
	return time.Duration(s.rnd.Int64N(int64(most)))
}

func (s *saga) add(name string, tier int, takes time.Duration) {
	s.names = append(s.names, name)
	s.takes[name] = takes
	s.host.Quadlet(name)
	s.policy.Tiers[tier] = append(s.policy.Tiers[tier], name)
	c := recover.Container{Name: name}
	u := s.host.Units[name+".service"]
	u.Container = c
	s.host.Units[name+".service"] = u
	s.host.Snapshot.Containers = append(s.host.Snapshot.Containers, c)
}

// share has one unit start all of the containers, which have none of their own.
func (s *saga) share(unit string, names []string) {
	for _, name := range names {
		s.units[name] = unit
		delete(s.host.Units, name+".service")
		for i, c := range s.host.Snapshot.Containers {
			if c.Name == name {
				s.host.Snapshot.Containers[i].Unit = unit
			}
		}
	}
	s.host.Units[unit] = recover.ContainerUnit{Unit: unit}
}

func (s *saga) tier(name string) int {
	return s.policy.TierOf(recover.Container{Name: name})
}

// pull has the start of a container bring another along.
func (s *saga) pull(name, other string) {
	s.pulls[name] = append(s.pulls[name], other)
	s.host.Pulls[name+".service"] = append(s.host.Pulls[name+".service"], other+".service")
}

// measure recovers once, so that it is known how long that takes.
func (s *saga) measure() *saga {
	s.plain = s.boot(0, time.Minute).ready
	return s
}

// die ends a boot: from now on nothing reaches the disk.
func (s *saga) die(cause recover.Cause) {
	s.host.Mu.Lock()
	defer s.host.Mu.Unlock()
	if s.host.Dead {
		return
	}
	s.host.Dead, s.last = true, cause
	s.host.Died()
}

// signs are what the journal tells of an end.
func signs(cause recover.Cause) recover.BootEnd {
	switch cause {
	case recover.CausePowerLoss:
		return recover.BootEnd{Tail: []recover.Sign{{Entry: recover.Entry{Message: "the last words"}}}}
	case recover.CausePanic, recover.CauseWatchdog, recover.CauseOOM:
		return recover.BootEnd{Tail: []recover.Sign{{Kind: recover.SignPanic, Cause: cause}}}
	}
	return recover.BootEnd{}
}

// boot is one boot, which the power ends that long after its begin, or after at most
// lives with cut 0. It ends earlier when the culprit strikes.
func (s *saga) boot(cut, lives time.Duration) (e epoch) {
	return s.bootWith(cut, lives, recover.CausePowerLoss)
}

func (s *saga) bootWith(cut, lives time.Duration, cause recover.Cause) (e epoch) {
	h := s.host
	s.boots++
	if cut > 0 && cut <= bootDelay {
		return e // the service was not started yet: the marker and all else stay
	}
	synctest.Test(s.t, func(t *testing.T) {
		var order []string
		s.powerOn(&order)
		service := New(worldOf(h), s.policy, recover.Identity{BootID: fmt.Sprint("b", s.boots), PID: 1})
		ctx, end := context.WithCancel(t.Context())
		h.Died = end
		done := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(done)
			_ = service.Run(ctx)
		}()
		go func() {
			for {
				st, changed := service.Status()
				if st.State == recover.Ready {
					e.ready = time.Since(began)
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
			}
		}()
		limit := lives
		if cut > 0 {
			limit = cut - bootDelay
		}
		select {
		case <-ctx.Done(): // the culprit
			e.crashed = true
		case <-time.After(limit):
			synctest.Wait()
			s.die(cause)
		}
		h.Mu.Lock()
		for _, name := range s.names {
			if !s.up[name] {
				e.down = append(e.down, name)
			}
		}
		h.Mu.Unlock()
		st, _ := service.Status()
		e.admits = slices.ContainsFunc(st.Recovery.Notes, func(n string) bool {
			return strings.Contains(n, "no container explains them")
		})
		e.inTiers = slices.IsSortedFunc(order, func(a, b string) int { return cmp.Compare(s.tier(a), s.tier(b)) })
		<-done
		service.suspects.flight.Close()
	})
	return e
}

// powerOn begins a boot, in which nothing runs yet. order is what is started.
func (s *saga) powerOn(order *[]string) {
	h := s.host
	h.BootEnd = signs(s.last)
	h.Dead = false
	clear(h.Sightings)
	clear(h.Tries)
	h.History = nil
	s.up = map[string]bool{}
	for unit := range h.Units {
		h.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
	}
	strikes := s.rnd.IntN(s.odds) == 0
	for _, name := range s.names {
		h.Start[name+".service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
			return s.started(ctx, name, strikes, order)
		}
	}
	for name, unit := range s.units {
		h.Start[unit] = func(ctx context.Context, _ int) (o recover.Outcome, err error) {
			for _, member := range s.names {
				if s.units[member] == unit && err == nil {
					o, err = s.bringAlong(ctx, member, strikes, order)
				}
			}
			return o, err
		}
		delete(h.Start, name+".service")
	}
}

// started is what the start of a container does: what it needs is started first, and
// the culprit takes the host down.
func (s *saga) started(ctx context.Context, name string, strikes bool, order *[]string) (recover.Outcome, error) {
	for _, other := range s.pulls[name] {
		if o, err := s.bringAlong(ctx, other, strikes, order); err != nil {
			return o, err
		}
	}
	s.host.Set(func() { *order = append(*order, name) })
	if name == s.culprit && strikes {
		time.AfterFunc(s.after, func() { s.die(s.cause) })
	}
	o, err := recovertest.UpAfter(s.takes[name])(ctx, 1)
	if err == nil {
		s.host.Set(func() { s.up[name] = true })
	}
	return o, err
}

// bringAlong starts a container as part of the start of another.
func (s *saga) bringAlong(ctx context.Context, name string, strikes bool, order *[]string) (recover.Outcome, error) {
	h := s.host
	h.Mu.Lock()
	up := s.up[name]
	h.Mu.Unlock()
	if up {
		return recovertest.Up, nil
	}
	o, err := s.started(ctx, name, strikes, order)
	unit := cmp.Or(s.units[name], name+".service")
	h.Set(func() {
		if err == nil {
			h.States[unit] = o.UnitState
			h.Sightings[name] = recover.Sighting{Container: recover.Container{Name: name, Unit: unit}, State: "running"}
		}
	})
	return o, err
}

// cut is a random moment in the first minute of a boot.
func (s *saga) cut() time.Duration { return 1 + s.upTo(time.Minute) }

// A tale is what one history of a row of the table came to.
type tale struct {
	figure float64 // what the target bounds
	failed string  // why it misses the target, empty if it does not
}

// A row of the table: a kind of history, and what it is to come to.
type chapter struct {
	name, target, figure string
	least                float64 // the share of histories that reach the target
	tell                 func(t *testing.T, rnd *rand.Rand) tale
}

func seconds(d time.Duration) float64 { return d.Seconds() }

// flicker is more cuts in a row, each within a minute of a boot.
func flicker(most float64, extra time.Duration, cuts func(*rand.Rand) int) func(*testing.T, *rand.Rand) tale {
	return func(t *testing.T, rnd *rand.Rand) tale {
		s := newSaga(t, rnd, 30)
		for name := range s.takes { // they are trivial
			s.takes[name] = s.upTo(300 * time.Millisecond)
		}
		s.measure()
		for range cuts(rnd) {
			s.boot(s.cut(), 0)
		}
		e := s.boot(0, 4*time.Minute)
		limit := time.Duration(most*float64(s.plain)) + extra
		result := tale{figure: seconds(e.ready - s.plain)}
		switch {
		case !e.inTiers:
			result.failed = "not in the order of the tiers"
		case e.ready == 0 || e.ready > limit:
			result.failed = fmt.Sprintf("READY after %s, and after %s without suspects", e.ready, s.plain)
		}
		return result
	}
}

// tenCuts is a night of bad weather.
func tenCuts(t *testing.T, rnd *rand.Rand) tale {
	s := newSaga(t, rnd, 1+rnd.IntN(30))
	for range 10 {
		s.boot(s.cut(), 0)
	}
	e := s.boot(0, 10*time.Minute)
	result := tale{figure: float64(len(e.down))}
	if len(e.down) > 0 {
		result.failed = fmt.Sprintf("down are %q", e.down)
	}
	return result
}

// crashesUntilWhole counts the crashes after the first, until the host runs all but
// the culprit, and what cannot run without it.
func crashesUntilWhole(s *saga, most int) tale {
	crashes := 0
	for {
		e := s.boot(0, 4*time.Minute)
		if e.crashed {
			if crashes++; crashes > 15 {
				return tale{figure: float64(crashes - 1), failed: fmt.Sprintf("no end of crashes: %+v", s.host.Quarantine)}
			}
			continue
		}
		result := tale{figure: float64(crashes - 1)}
		want := s.withoutCulprit()
		switch {
		case !slices.Equal(e.down, want):
			result.failed = fmt.Sprintf("down are %q, want %q", e.down, want)
		case crashes-1 > most:
			result.failed = fmt.Sprintf("%d further crashes", crashes-1)
		}
		return result
	}
}

// sizes are the least and the most containers of a host.
type sizes [2]int

func (s sizes) draw(rnd *rand.Rand) int { return s[0] + rnd.IntN(s[1]-s[0]+1) }

// withoutCulprit are what cannot run without the culprit, and it.
func (s *saga) withoutCulprit() (down []string) {
	for _, name := range s.names {
		if s.brings(name, s.culprit) || s.units[name] != "" && s.units[name] == s.units[s.culprit] {
			down = append(down, name)
		}
	}
	return down
}

// brings reports whether the start of a container starts another.
func (s *saga) brings(name, other string) bool {
	return name == other || slices.ContainsFunc(s.pulls[name], func(n string) bool { return s.brings(n, other) })
}

// guilty gives the host a culprit that strikes within its soak.
func (s *saga) guilty(cause recover.Cause) *saga { return s.oneOf(s.names, cause) }

func (s *saga) oneOf(names []string, cause recover.Cause) *saga {
	s.culprit, s.cause = names[s.rnd.IntN(len(names))], cause
	s.after = s.upTo(s.takes[s.culprit] + s.policy.Soak)
	return s
}

func culprit(cause recover.Cause, most int, size sizes) func(*testing.T, *rand.Rand) tale {
	return func(t *testing.T, rnd *rand.Rand) tale {
		return crashesUntilWhole(newSaga(t, rnd, size.draw(rnd)).guilty(cause), most)
	}
}

// pulled is a culprit that others bring along.
func pulled(cause recover.Cause, most int, size sizes) func(*testing.T, *rand.Rand) tale {
	return func(t *testing.T, rnd *rand.Rand) tale {
		s := newSaga(t, rnd, size.draw(rnd)).guilty(cause)
		for i, name := range s.names { // only earlier ones: no circles
			if i > 0 && rnd.IntN(4) == 0 {
				s.pull(name, s.names[rnd.IntN(i)])
			}
		}
		for unit := range s.host.Units { // a unit's start brings along what those bring along
			s.host.Pulls[unit] = s.allPulled(strings.TrimSuffix(unit, ".service"))
		}
		return crashesUntilWhole(s, most)
	}
}

// shared is a culprit whose unit starts others too.
func shared(cause recover.Cause, most int, size sizes) func(*testing.T, *rand.Rand) tale {
	return func(t *testing.T, rnd *rand.Rand) tale {
		s := newSaga(t, rnd, max(9, size.draw(rnd)))
		members := s.names[:2+rnd.IntN(7)]
		s.oneOf(members, cause).share("pod.service", members)
		return crashesUntilWhole(s, most)
	}
}

func (s *saga) allPulled(name string) (units []string) {
	for _, other := range s.pulls[name] {
		units = append(append(units, other+".service"), s.allPulled(other)...)
	}
	return units
}

// dyingHost dies by itself, and is mended after 30 boots.
func dyingHost(cause recover.Cause) func(*testing.T, *rand.Rand) tale {
	return func(t *testing.T, rnd *rand.Rand) tale {
		s := newSaga(t, rnd, 1+rnd.IntN(30))
		at := 5*time.Second + s.upTo(55*time.Second)
		admitted := 0
		for boot := range 30 {
			if e := s.bootWith(at, 0, cause); e.admits && admitted == 0 {
				admitted = boot + 1
			}
		}
		e := s.boot(0, 10*time.Minute)
		result := tale{figure: float64(admitted)}
		switch {
		case len(e.down) > 0:
			result.failed = fmt.Sprintf("down are %q", e.down)
		case admitted == 0:
			result.failed = fmt.Sprintf("dead after %s, and never said that no container explains it", at)
		}
		return result
	}
}

// sometimes is a culprit that strikes in one of three starts. A host that it leaves
// alone lives for hours.
func sometimes(cause recover.Cause) func(*testing.T, *rand.Rand) tale {
	return func(t *testing.T, rnd *rand.Rand) tale {
		s := newSaga(t, rnd, 1+rnd.IntN(30)).guilty(cause)
		s.odds = 3
		crashes := 0
		for range 200 {
			e := s.boot(0, 2*time.Hour)
			if e.crashed {
				crashes++
			}
			found, _ := s.host.Quarantine.Find(s.culprit)
			if crashes > 10 || found.Quarantined {
				break
			}
		}
		result := tale{figure: float64(crashes)}
		for _, suspect := range s.host.Quarantine {
			if suspect.Quarantined && suspect.Name != s.culprit {
				result.failed = suspect.Name + " is down"
			}
		}
		if crashes > 10 {
			result.failed = "not found"
		}
		return result
	}
}

func number(n int) func(*rand.Rand) int { return func(*rand.Rand) int { return n } }

// chapters are the rows of the table in docs/recovery.md.
func chapters() []chapter {
	const oneMore, toFour = "one more cut", "two to four more cuts"
	const mended = "the status says that no container explains it, and nothing is down 10 min after the last"
	all := []chapter{
		{oneMore + " within 60 s of the boot, 30 containers", "at most 1.2 × a plain recovery + 5 s",
			"seconds more until READY", 1, flicker(1.2, 5*time.Second, number(1))},
		{toFour + " within 60 s of the boot each, 30 containers", "at most a plain recovery + 60 s, tiers in order",
			"seconds more until READY", 0.999, flicker(1, time.Minute, func(r *rand.Rand) int { return 2 + r.IntN(3) })},
		{"ten cuts within 60 s of the boot each", "nothing is down 10 min after the last",
			"containers down", 1, tenCuts},
		{"the host panics at the same time in each of 30 boots", mended,
			"crashes until the status says so", 1, dyingHost(recover.CausePanic)},
		{"the host dies at the same time in each of 30 boots, and it looks like power loss", mended,
			"crashes until the status says so", 1, dyingHost(recover.CausePowerLoss)},
		{"a culprit that strikes in one of three starts, and the kernel panics", "found within 10 crashes, 95 %",
			"crashes until it is found", 0.95, sometimes(recover.CausePanic)},
		{"a culprit that strikes in one of three starts, and it looks like power loss", "found within 10 crashes, 95 %",
			"crashes until it is found", 0.9, sometimes(recover.CausePowerLoss)},
	}
	for _, c := range []struct {
		what string
		tell func(recover.Cause, int, sizes) func(*testing.T, *rand.Rand) tale
	}{
		{"a culprit", culprit},
		{"a culprit that others bring along", pulled},
		{"a culprit in a unit with up to eight", shared},
	} {
		const further = "further crashes"
		all = append(all,
			chapter{c.what + " among up to 30, and the kernel panics", "at most 2 further crashes", further,
				0.98, c.tell(recover.CausePanic, 2, sizes{2, 30})},
			chapter{c.what + " among up to 16, and it looks like power loss", "at most 3 further crashes", further,
				0.9, c.tell(recover.CausePowerLoss, 3, sizes{2, 16})},
			chapter{c.what + " among 17 to 30, and it looks like power loss", "at most 4 further crashes", further,
				0.98, c.tell(recover.CausePowerLoss, 4, sizes{17, 30})})
	}
	return all
}

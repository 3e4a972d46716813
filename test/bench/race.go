package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

const (
	unit    = "archy-recovery.service"
	dataDir = "/var/lib/archy-recovery/"
	confFor = "/etc/archy-recovery.conf.d/90-bench.conf"
)

// spec is the one image that all are measured on.
var spec = machine.Spec{Packages: []string{"docker.io", "docker-cli", "strace"}}

// idlers are not enabled: after each boot all begin from the same, a machine
// that has booted and idles.
const idlers = "docker.service docker.socket containerd.service podman-restart.service archy-recovery.service " +
	"archy-recovery.socket archy-recovery-snapshot.timer archy-recovery-reconcile.service"

// newMachine is a machine with archy-recovery on it, switched on.
func newMachine(b *bench) *machine.Machine {
	m := machine.Start(b.t, machine.WithSpec(spec), machine.Timeout(10*time.Minute))
	m.Install(b.deb)
	m.MustRun("sh", "-c", "systemctl disable --now --quiet "+idlers+" || true")
	m.MustRun("mkdir", "-p", crashDir)
	return m
}

// An entrant is one way to bring a fleet back.
type entrant struct {
	name string
	// disk prepares the machine while it is off; may be nil.
	disk  func()
	start []string // the command; time counts from here
	// ready is what has to listen before it is over.
	ready []string
	// lingers: it is over then; else it is when the command has ended, too.
	lingers bool
	// check is told when it began; may be nil.
	check func(began time.Time)
}

// A heat is what one entrant did once.
type heat struct {
	ready    map[string]time.Duration // by socket
	returned time.Duration            // of the command
	crashes  int
}

// run pulls the plug, boots the machine and lets the entrant recover it.
func (e entrant) run(t machine.TB, m *machine.Machine) heat {
	m.PullPlug()
	m.Remove(crashDir + "/log")
	if e.disk != nil {
		e.disk()
	}
	m.Boot()
	h := heat{ready: map[string]time.Duration{}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	type end struct {
		at  time.Time
		err error
	}
	ended := make(chan end, 1)
	begin := time.Now()
	go func() {
		_, err := m.RunContext(ctx, e.start...)
		ended <- end{time.Now(), err}
	}()
	// Nothing tells of a socket, so this looks for them, for all entrants alike.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for returned := e.lingers; len(h.ready) < len(e.ready) || !returned; {
		select {
		case over := <-ended:
			if over.err != nil {
				t.Fatalf("%s: %v", e.name, over.err)
			}
			h.returned, returned = over.at.Sub(begin), true
		case <-ctx.Done():
			t.Fatalf("%s: after 5 minutes only %d of %d are ready", e.name, len(h.ready), len(e.ready))
		case <-tick.C:
			look(m, e.ready, h.ready, time.Since(begin))
		}
	}
	log, _ := m.ReadFile(crashDir + "/log") // none if nothing crashed
	h.crashes = strings.Count(log, "\n")
	if e.check != nil {
		e.check(begin)
	}
	return h
}

// look takes down who listens by now.
func look(m *machine.Machine, sockets []string, ready map[string]time.Duration, now time.Duration) {
	text, err := m.ReadFile("/proc/1/net/unix")
	if err != nil {
		return // the next look will tell
	}
	for _, s := range sockets {
		if _, known := ready[s]; !known && strings.Contains(text, "@"+s+"\n") {
			ready[s] = now
		}
	}
}

// last is when the last of these was ready.
func (h heat) last(sockets []string) time.Duration {
	var last time.Duration
	for _, s := range sockets {
		last = max(last, h.ready[s])
	}
	return last
}

// A crashed is the data directory as a plug that was pulled left it: each heat
// begins with the same.
type crashed map[string]string

// crash runs the fleet with archy-recovery beside it, pulls the plug, and
// returns what is on the disk then. The machine is off afterwards.
func crash(t machine.TB, m *machine.Machine, f fleet) crashed {
	f.quadlets(m, false)
	m.Reload()
	var running []string
	for _, c := range f {
		if !c.hangs {
			running = append(running, c.socket)
		}
	}
	// What another fleet has left would be recovered, too.
	unsuspect(m)
	for _, name := range []string{"archipelago.pid", "running-containers.json", "running-containers.json.previous"} {
		m.Remove(dataDir + name)
	}
	// Tier by tier, since some need the tier below.
	for tier := range tiers {
		m.Systemctl(append([]string{"start"}, f.sockets(tier)...)...)
	}
	m.Systemctl("start", unit)
	m.WaitFor(30*time.Second, "the snapshot", func() bool {
		text, _ := m.ReadFile(dataDir + "running-containers.json")
		var s recover.Snapshot
		return json.Unmarshal([]byte(text), &s) == nil && len(s.Containers) == len(running)
	})
	m.PullPlug()
	disk := crashed{}
	for _, name := range []string{"running-containers.json", "archipelago.pid"} {
		text, err := m.ReadFile(dataDir + name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		disk[name] = text
	}
	m.Boot()
	return disk
}

// ours is archy-recovery's entrant. Each heat finds the same state, and nobody
// suspected: the plug is pulled so soon after a recovery that all would be.
func ours(t machine.TB, m *machine.Machine, f fleet, disk crashed) entrant {
	e := entrant{name: "archy-recovery", start: []string{"systemctl", "start", unit}, ready: f.sockets()}
	e.disk = func() {
		unsuspect(m)
		for name, text := range disk {
			m.WriteFile(dataDir+name, text, 0o644, 0)
		}
	}
	e.check = func(time.Time) { wantRecovered(t, m, len(f.sockets())) }
	return e
}

// A course is where the time of our recoveries went, in seconds.
type course struct{ first, between, starting []float64 }

// watch has the entrant tell its course.
func (c *course) watch(t machine.TB, m *machine.Machine, e *entrant) {
	check := e.check
	e.check = func(began time.Time) {
		check(began)
		var begins, ends [tiers]time.Time
		for _, row := range status(t, m).Containers {
			if at := row.Started(); begins[row.Tier].IsZero() || at.Before(begins[row.Tier]) {
				begins[row.Tier] = at
			}
			if at := row.Ended(); at.After(ends[row.Tier]) {
				ends[row.Tier] = at
			}
		}
		var between, starting time.Duration
		for tier := range tiers {
			starting += ends[tier].Sub(begins[tier])
			if tier > 0 {
				between += begins[tier].Sub(ends[tier-1])
			}
		}
		c.first = append(c.first, begins[0].Sub(began).Seconds())
		c.between = append(c.between, between.Seconds())
		c.starting = append(c.starting, starting.Seconds())
	}
}

// tell adds it to the row.
func (c *course) tell(r *Result) {
	r.add("of that: exec, assessment and plan, until the first start", "s", c.first)
	r.add("of that: while starts are under way, all tiers", "s", c.starting)
	r.add("of that: between one tier's last and the next one's first start", "s", c.between)
}

// unordered starts all units at once: the floor of what starts units.
func unordered(f fleet) entrant {
	return entrant{name: "one unordered systemctl start", start: append([]string{"systemctl", "start"}, f.sockets()...), ready: f.sockets()}
}

// unsuspect clears those in flight of a machine that is off: its plug was pulled
// so soon after the last recovery that they would be started one at a time.
func unsuspect(m *machine.Machine) {
	m.Remove(dataDir + "in-flight.json")
	m.Remove(dataDir + "quarantine.json")
}

func wantRecovered(t machine.TB, m *machine.Machine, want int) {
	st, up := status(t, m), 0
	for _, row := range st.Containers {
		if row.State == recover.RowUp {
			up++
		}
	}
	if up != want || st.Verdict.Ending != recover.HostCrashed {
		t.Fatalf("%d of %d containers up after a %s", up, want, st.Verdict.Ending)
	}
}

func status(t machine.TB, m *machine.Machine) control.Status {
	var st control.Status
	if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "status", "--json")), &st); err != nil {
		t.Fatalf("status: %v", err)
	}
	return st
}

// contest runs each entrant in each round, one after another, so that what else
// the host does meets all of them; the first figures are ours to compare with.
func contest(b *bench, m *machine.Machine, entrants ...entrant) [][]heat {
	heats := make([][]heat, len(entrants))
	for round := range b.rounds {
		for i, e := range entrants {
			h := e.run(b.t, m)
			heats[i] = append(heats[i], h)
			b.t.Logf("round %d, %s: returned %.2f s, all ready %.2f s, %d crashes", round+1, e.name,
				h.returned.Seconds(), h.last(e.ready).Seconds(), h.crashes)
		}
	}
	return heats
}

// figures takes a figure of each heat, in seconds.
func figures(heats []heat, of func(heat) time.Duration) (seconds []float64) {
	for _, h := range heats {
		seconds = append(seconds, of(h).Seconds())
	}
	return seconds
}

func returned(h heat) time.Duration { return h.returned }

func all(f fleet) func(heat) time.Duration {
	return func(h heat) time.Duration { return h.last(f.sockets()) }
}

func tier0(f fleet) func(heat) time.Duration {
	return func(h heat) time.Duration { return h.last(f.sockets(0)) }
}

func crashes(heats []heat) (n []float64) {
	for _, h := range heats {
		n = append(n, float64(h.crashes))
	}
	return n
}

// ratios are taken pair by pair, of the same round.
func ratios(a, b []float64) (r []float64) {
	for i := range a {
		r = append(r, a[i]/b[i])
	}
	return r
}

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
	unit     = "archy-recovery.service"
	dataDir  = "/var/lib/archy-recovery/"
	confFile = "/etc/archy-recovery.conf.d/90-bench.conf"
)

// spec describes the one machine on which everything is measured.
var spec = machine.Spec{Packages: []string{"docker.io", "docker-cli", "strace"}}

// disabledUnits are disabled. So each trial starts from the same: a machine that
// has booted and idles.
const disabledUnits = "docker.service docker.socket containerd.service podman-restart.service archy-recovery.service " +
	"archy-recovery.socket archy-recovery-snapshot.timer archy-recovery-reconcile.service"

// newMachine boots a machine with archy-recovery installed. Its containers share its
// network: by their abstract sockets the rows see when one is ready. Docker's have no
// other network either.
func newMachine(b *bench) *machine.Machine {
	return installed(b, machine.HostNetwork())
}

// installed boots a machine with archy-recovery installed. The options come after those of
// all machines.
func installed(b *bench, options ...machine.Option) *machine.Machine {
	own := []machine.Option{machine.WithSpec(spec), machine.Timeout(10 * time.Minute)}
	m := machine.Start(b.t, append(own, options...)...)
	m.Install(b.deb)
	m.MustRun("sh", "-c", "systemctl disable --now --quiet "+disabledUnits+" || true")
	m.MustRun("mkdir", "-p", crashDir)
	return m
}

// A contender is one way to start a fleet after a crash.
type contender struct {
	name string
	// prepare prepares the machine while it is off; may be nil.
	prepare func()
	// booted runs when the machine idles, before the start; may be nil.
	booted func()
	start  []string // the command; time counts from its start
	uid    int      // of the user that runs it
	// ready holds the sockets that must listen before the trial ends.
	ready []string
	// untilReady ends the trial when the sockets listen. Otherwise the command
	// must end, too.
	untilReady bool
	// look records which containers are ready by now; nil looks for the sockets.
	look func(ready map[string]time.Duration, began time.Time)
	// check checks the result of a trial that began at this time; may be nil.
	check func(began time.Time)
}

// A trial is the result of one run of a contender.
type trial struct {
	ready    map[string]time.Duration // by socket
	returned time.Duration            // until the command ended
	crashes  int
}

// run cuts the power, boots the machine and lets the contender start the fleet.
func (c contender) run(t machine.TB, m *machine.Machine) trial {
	m.PullPlug()
	m.Remove(crashDir + "/log")
	if c.prepare != nil {
		c.prepare()
	}
	m.Boot()
	if c.booted != nil {
		c.booted()
	}
	tr := trial{ready: map[string]time.Duration{}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	type end struct {
		at  time.Time
		err error
	}
	ended := make(chan end, 1)
	begin := time.Now()
	go func() {
		_, err := m.As(c.uid).RunContext(ctx, c.start...)
		ended <- end{time.Now(), err}
	}()
	// A socket has no event, so this polls. It does so for all contenders alike.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for returned := c.untilReady; len(tr.ready) < len(c.ready) || !returned; {
		select {
		case result := <-ended:
			if result.err != nil {
				t.Fatalf("%s: %v", c.name, result.err)
			}
			tr.returned, returned = result.at.Sub(begin), true
		case <-ctx.Done():
			t.Fatalf("%s: after 5 minutes only %d of %d are ready", c.name, len(tr.ready), len(c.ready))
		case <-tick.C:
			if c.look != nil {
				c.look(tr.ready, begin)
			} else {
				recordReady(m, c.ready, tr.ready, time.Since(begin))
			}
		}
	}
	log, _ := m.ReadFile(crashDir + "/log") // without a crash there is no file
	tr.crashes = strings.Count(log, "\n")
	if c.check != nil {
		c.check(begin)
	}
	return tr
}

// recordReady records the sockets that listen now and did not before.
func recordReady(m *machine.Machine, sockets []string, ready map[string]time.Duration, now time.Duration) {
	text, err := m.ReadFile("/proc/1/net/unix")
	if err != nil {
		return // the next call retries
	}
	for _, s := range sockets {
		if _, known := ready[s]; !known && strings.Contains(text, "@"+s+"\n") {
			ready[s] = now
		}
	}
}

// last returns when the last of these sockets was ready.
func (tr trial) last(sockets []string) time.Duration {
	var last time.Duration
	for _, s := range sockets {
		last = max(last, tr.ready[s])
	}
	return last
}

// savedState holds files of the data directory after a power failure, by name.
// Each trial begins with the same files.
type savedState map[string]string

// crashedWith is the state that the old module leaves if the power fails while this set runs.
func crashedWith(t machine.TB, set []recover.Container) savedState {
	text, err := json.Marshal(recover.Snapshot{Timestamp: 1, Containers: set})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return savedState{"running-containers.json": string(text), "archipelago.pid": "1\n"}
}

// write writes the state into a data directory that belongs to uid.
func (s savedState) write(m *machine.Machine, data string, uid int) {
	for name, text := range s {
		m.WriteFile(data+name, text, 0o644, uid)
	}
}

// saveCrash runs the fleet and archy-recovery, cuts the power, and returns the
// files that are on the disk then.
func saveCrash(t machine.TB, m *machine.Machine, f fleet) savedState {
	return saveRunning(t, m, startFleet(m, f), 0)
}

// startFleet runs the fleet, and returns how many containers that is.
func startFleet(m *machine.Machine, f fleet) (running int) {
	f.quadlets(m, false)
	m.Reload()
	for _, c := range f {
		if !c.hangs {
			running++
		}
	}
	forget(m)
	// The tiers start one after another, because some containers need the tier below.
	for tier := range tiers {
		m.Systemctl(append([]string{"start"}, f.sockets(tier)...)...)
	}
	return running
}

// forget removes the state of an earlier fleet, which must not be recovered.
func forget(m *machine.Machine) {
	clearSuspects(m)
	for _, name := range []string{"archipelago.pid", "running-containers.json", "running-containers.json.previous"} {
		m.Remove(dataDir + name)
	}
}

// saveRunning runs archy-recovery beside so many containers for a while, cuts the power, and
// returns the files that are on the disk then.
func saveRunning(t machine.TB, m *machine.Machine, running int, lives time.Duration) savedState {
	m.Systemctl("start", unit)
	m.WaitFor(30*time.Second, "the snapshot", func() bool {
		text, _ := m.ReadFile(dataDir + "running-containers.json")
		var s recover.Snapshot
		return json.Unmarshal([]byte(text), &s) == nil && len(s.Containers) == running
	})
	time.Sleep(lives)
	m.PullPlug()
	saved := savedState{}
	for _, name := range []string{"running-containers.json", "archipelago.pid"} {
		text, err := m.ReadFile(dataDir + name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		saved[name] = text
	}
	m.Boot()
	return saved
}

// recoveryContender returns archy-recovery as a contender. Each trial begins with
// the same state, and without suspects: the power fails so soon after a recovery
// that all containers would be suspects.
func recoveryContender(t machine.TB, m *machine.Machine, f fleet, saved savedState) contender {
	c := contender{name: "archy-recovery", start: []string{"systemctl", "start", unit}, ready: f.sockets()}
	c.prepare = func() {
		clearSuspects(m)
		saved.write(m, dataDir, 0)
	}
	c.check = func(time.Time) { wantRecovered(t, m, len(f.sockets())) }
	return c
}

// phases divide the time of each recovery into parts, in seconds.
type phases struct{ first, between, starting []float64 }

// watch records the phases of the contender's trials.
func (p *phases) watch(t machine.TB, m *machine.Machine, c *contender) {
	check := c.check
	c.check = func(began time.Time) {
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
		p.first = append(p.first, begins[0].Sub(began).Seconds())
		p.between = append(p.between, between.Seconds())
		p.starting = append(p.starting, starting.Seconds())
	}
}

// report adds the phases to the row.
func (p *phases) report(r *Result) {
	r.add("of that: exec, assessment and plan, until the first start", "s", p.first)
	r.add("of that: while starts are under way, all tiers", "s", p.starting)
	r.add("of that: between one tier's last and the next one's first start", "s", p.between)
}

// unorderedContender starts all units at once. No contender that starts these units
// can need less.
func unorderedContender(f fleet) contender {
	return contender{name: "one unordered systemctl start",
		start: append([]string{"systemctl", "start"}, f.sockets()...), ready: f.sockets()}
}

// clearSuspects removes the record of the containers in flight. After a power
// failure soon after a recovery, they would be noted, and suspects after two.
func clearSuspects(m *machine.Machine) {
	m.Remove(dataDir + "in-flight.json")
	m.Remove(dataDir + "quarantine.json")
}

// wantRecovered ends the measurement if it is not that of a recovery of so many
// containers after a host crash.
func wantRecovered(t machine.TB, m *machine.Machine, want int) control.Status {
	st := wantUp(t, m, want)
	if ending := st.Verdict.Ending; ending != recover.HostCrashed {
		t.Fatalf("%d containers are up after a %s, want a %s", want, ending, recover.HostCrashed)
	}
	return st
}

// wantUp ends the measurement if it is not that of a recovery of so many
// containers.
func wantUp(t machine.TB, m *machine.Machine, want int) control.Status {
	st, up := status(t, m), 0
	for _, row := range st.Containers {
		if row.State == recover.RowUp {
			up++
		}
	}
	if up != want {
		t.Fatalf("%d of %d containers are up", up, want)
	}
	return st
}

func status(t machine.TB, m *machine.Machine) control.Status {
	var st control.Status
	if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "status", "--json")), &st); err != nil {
		t.Fatalf("status: %v", err)
	}
	return st
}

// compare runs each contender in each round, one after another. So other load of
// the host affects all of them.
func compare(b *bench, m *machine.Machine, contenders ...contender) [][]trial {
	trials := make([][]trial, len(contenders))
	for round := range b.rounds {
		for i, c := range contenders {
			tr := c.run(b.t, m)
			trials[i] = append(trials[i], tr)
			b.t.Logf("round %d, %s: returned %.2f s, all ready %.2f s, %d crashes", round+1, c.name,
				tr.returned.Seconds(), tr.last(c.ready).Seconds(), tr.crashes)
		}
	}
	return trials
}

// figures returns a figure of each trial, in seconds.
func figures(trials []trial, of func(trial) time.Duration) (seconds []float64) {
	for _, tr := range trials {
		seconds = append(seconds, of(tr).Seconds())
	}
	return seconds
}

func returned(tr trial) time.Duration { return tr.returned }

func allReady(f fleet) func(trial) time.Duration {
	return func(tr trial) time.Duration { return tr.last(f.sockets()) }
}

func tier0Ready(f fleet) func(trial) time.Duration {
	return func(tr trial) time.Duration { return tr.last(f.sockets(0)) }
}

func crashes(trials []trial) (n []float64) {
	for _, tr := range trials {
		n = append(n, float64(tr.crashes))
	}
	return n
}

// ratios divides the figures of the same round.
func ratios(a, b []float64) (r []float64) {
	for i := range a {
		r = append(r, a[i]/b[i])
	}
	return r
}

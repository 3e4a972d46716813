package main

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"archy-recovery/test/machine"
)

// trivialRow measures archy-recovery's own cost. Its containers need no time to
// start.
func trivialRow(b *bench, r *Result) {
	f := trivial()
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, f)
	tiered := recoveryContender(b.t, m, f, saved)
	restore := tiered.prepare
	tiered.prepare = func() { m.Remove(confFile); f.quadlets(m, false); restore() }
	var p phases
	p.watch(b.t, m, &tiered)
	// Without tiers, the order of starts costs nothing.
	flat := tiered
	flat.name = "archy-recovery, all in one tier"
	flat.check = func(time.Time) { wantRecovered(b.t, m, containers) }
	flat.prepare = func() {
		f.quadlets(m, false)
		restore()
		m.WriteFile(confFile, fmt.Sprintf(
			"[Recovery]\nMinParallel=%d\nMaxParallel=%[1]d\n[Tiers]\nTier0=*\n", containers), 0o644, 0)
	}
	free, ordered := unorderedContender(f), unorderedContender(f)
	free.prepare = func() { f.quadlets(m, false) }
	ordered.name = "ordered: units After= the tier below"
	ordered.prepare = func() { f.quadlets(m, true) }
	// Each trial leaves dead containers. The first podman command of the next boot
	// removes them. So all contenders must start the same number of containers.
	trials := compare(b, m, free, tiered, ordered, flat)
	floor, own := figures(trials[0], returned), figures(trials[1], returned)
	r.Title = fmt.Sprintf("%d trivial containers in %d tiers", containers, tiers)
	r.claimAtMost(r.Title+", crash to READY, against unordered", "≤ 1.10", "", ratios(own, floor), 1.10)
	r.claimAtMost("the same, until tier 0 is ready", "< 0.6", "",
		ratios(figures(trials[1], tier0Ready(f)), figures(trials[0], tier0Ready(f))), 0.6)
	r.draw("archy-recovery, READY", "s", own)
	p.report(r)
	r.draw("unordered, systemctl returned", "s", floor)
	r.draw("ordered, systemctl returned", "s", figures(trials[2], returned))
	r.add("ordered against unordered: what the order of tiers costs by itself", "",
		ratios(figures(trials[2], returned), floor))
	r.add("archy-recovery against ordered", "", ratios(own, figures(trials[2], returned)))
	r.draw("archy-recovery with all in one tier, READY", "s", figures(trials[3], returned))
	r.add("the same against unordered", "", ratios(figures(trials[3], returned), floor))
	r.add("archy-recovery, tier 0 ready", "s", figures(trials[1], tier0Ready(f)))
	r.add("unordered, tier 0 ready", "s", figures(trials[0], tier0Ready(f)))
	r.note("systemd alone starts the ordered units. The time above them is archy-recovery's.")
}

// slowRow measures the cost of tiers. Its containers are slow, like real services.
func slowRow(b *bench, r *Result) {
	f := slow("slow", 500*time.Millisecond, 3*time.Second)
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, f)
	// Only the units of this contender are ordered.
	ordered, free, own := unorderedContender(f), unorderedContender(f), recoveryContender(b.t, m, f, saved)
	ordered.name = "ordered: units After= the tier below"
	ordered.prepare = func() { f.quadlets(m, true) }
	free.prepare = func() { f.quadlets(m, false) }
	restore := own.prepare
	own.prepare = func() { m.Remove(confFile); f.quadlets(m, false); restore() }
	var p phases
	p.watch(b.t, m, &own)
	// The number of parallel starts follows the pressure of the whole host. Here all
	// containers of a tier may start in parallel, so other load has no influence.
	wide := own
	wide.prepare = func() {
		f.quadlets(m, false)
		restore()
		m.WriteFile(confFile, fmt.Sprintf(
			"[Recovery]\nMinParallel=%d\nMaxParallel=%[1]d\n", containers/tiers), 0o644, 0)
	}
	wide.name = "archy-recovery, a place for each of a tier"
	wide.check = func(time.Time) { wantRecovered(b.t, m, containers) }
	trials := compare(b, m, ordered, own, wide, free)
	r.Title = fmt.Sprintf("%d containers ready after 0.5 to 3 s, in %d tiers", containers, tiers)
	r.claimAtMost(r.Title+", crash to READY, against ordered", "≤ 1.05", "",
		ratios(figures(trials[1], returned), figures(trials[0], returned)), 1.05)
	r.draw("archy-recovery, READY", "s", figures(trials[1], returned))
	p.report(r)
	r.draw("ordered, systemctl returned", "s", figures(trials[0], returned))
	r.draw("archy-recovery with MinParallel=6, a place for each of a tier, READY", "s", figures(trials[2], returned))
	r.add("the same against ordered", "", ratios(figures(trials[2], returned), figures(trials[0], returned)))
	r.draw("unordered, systemctl returned", "s", figures(trials[3], returned))
	r.draw("critical path: the sum of each tier's slowest", "s", []float64{f.criticalPath().Seconds()})
	r.add("archy-recovery, tier 0 ready", "s", figures(trials[1], tier0Ready(f)))
	r.add("ordered, tier 0 ready", "s", figures(trials[0], tier0Ready(f)))
	r.add("unordered, tier 0 ready", "s", figures(trials[3], tier0Ready(f)))
}

//go:embed scripts/old-module.sh
var oldModule string

const oldPath = "/usr/local/bin/old-module"

// oldRow compares archy-recovery with the old module. The module sleeps most of the
// time, so it starts both fleets in one trial. archy-recovery has a trial for each.
func oldRow(b *bench, r *Result) {
	fleets := []fleet{trivial(), slow("slow", 500*time.Millisecond, 3*time.Second)}
	m := newMachine(b)
	r.With += tools(m)
	m.WriteFile(oldPath, oldModule, 0o755, 0)
	var contenders []contender
	var commands, sockets []string
	for _, f := range fleets {
		contenders = append(contenders, recoveryContender(b.t, m, f, saveCrash(b.t, m, f)))
		commands = append(commands, oldPath+" "+strings.Join(f.plain(m.Shell, "podman", "old-"), " ")+" &")
		sockets = append(sockets, f.sockets()...)
	}
	contenders = append(contenders, contender{name: "the old module", ready: sockets,
		start: []string{"sh", "-c", strings.Join(commands, "\n") + "\nwait"}})
	trials := compare(b, m, contenders...)
	r.Title = "The same containers, against the old module"
	for i, what := range []struct {
		name   string
		factor float64
	}{{"trivial containers", 20}, {"containers ready after 0.5 to 3 s", 5}} {
		own, old := figures(trials[i], allReady(fleets[i])), figures(trials[2], allReady(fleets[i]))
		r.claimAtLeast(fmt.Sprintf("%d %s, all ready: how many times faster than the old module", containers, what.name),
			fmt.Sprintf("≥ %.0f", what.factor), "", ratios(old, own), what.factor)
		r.draw("archy-recovery, "+what.name, "s", own)
		r.draw("the old module, "+what.name, "s", old)
	}
}

const dockerConf = `{"iptables":false,"bridge":"none","data-root":"/var/lib/containers/docker"}`

// needsRow uses services that exit if the service that they need is not ready, as
// real ones do. All contenders run the same programs.
func needsRow(b *bench, r *Result) {
	f := chained(slow("needs", 200*time.Millisecond, 1500*time.Millisecond))
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, f)
	f.plain(m.Shell, "podman", "pod-", "--restart=always")
	dockerImages(m, []machine.ImageSpec{machine.Testapp})
	// At boot Docker starts the containers that ran when it was killed.
	dockers := f.plain(m.Shell, "docker", "dock-", "--restart=always")
	m.MustRun(append([]string{"docker", "start"}, dockers...)...)
	trials := compare(b, m, recoveryContender(b.t, m, f, saved),
		contender{name: "podman-restart.service", start: []string{"systemctl", "start", "podman-restart.service"},
			ready: f.sockets(), untilReady: true},
		contender{name: "Docker", start: []string{"systemctl", "start", "docker.service"},
			ready: f.sockets(), untilReady: true})
	r.Title = fmt.Sprintf("%d containers that each need one of the tier below, ready after 0.2 to 1.5 s", containers)
	own := figures(trials[0], allReady(f))
	r.claimAtMost(r.Title+", all ready, against podman-restart.service", "≤ 1", "",
		ratios(own, figures(trials[1], allReady(f))), 1)
	r.claimAtMost("the same, against Docker", "≤ 1", "", ratios(own, figures(trials[2], allReady(f))), 1)
	r.claimAtMost("the same, crashes on the way", "0", "crashes", crashes(trials[0]), 0)
	for i, name := range []string{"archy-recovery", "podman-restart.service", "Docker --restart=always"} {
		r.draw(name+", all ready", "s", figures(trials[i], allReady(f)))
		r.add(name+", crashes on the way", "crashes", crashes(trials[i]))
	}
	r.add("critical path: the sum of each tier's slowest", "s", []float64{f.criticalPath().Seconds()})
	r.note("Docker's time begins with the start of dockerd, as at a boot. The other times begin with the start of " +
		"podman-restart.service and of archy-recovery.")
}

// hungRow measures the delay by one container that never becomes ready. It delays
// its tier by the deadline, once.
func hungRow(b *bench, r *Result) {
	const deadline = 5 * time.Second
	healthy := trivial()
	for i := range healthy {
		healthy[i].ready = time.Millisecond // makes their units wait for READY=1
	}
	hung := append(fleet(nil), healthy...)
	hung[0].hangs = true
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, healthy)
	conf := func(c contender, f fleet) contender {
		restore := c.prepare
		c.prepare = func() {
			f.quadlets(m, false)
			m.WriteFile(confFile,
				fmt.Sprintf("[Recovery]\nTierDeadlineSec=%.0f\n", deadline.Seconds()), 0o644, 0)
			restore()
		}
		c.ready = hung.sockets() // for both contenders without the container that may hang
		return c
	}
	bad := conf(recoveryContender(b.t, m, hung, saved), hung)
	bad.name, bad.untilReady, bad.check = "archy-recovery, one hangs", true, nil
	trials := compare(b, m, conf(recoveryContender(b.t, m, healthy, saved), healthy), bad)
	r.Title = "One container of tier 0 hangs, TierDeadlineSec=5"
	ready := func(tr trial) time.Duration { return tr.last(hung.sockets()) }
	less := func(tr trial) time.Duration { return tr.last(hung.sockets()) - deadline }
	r.claimAtMost(r.Title+": the other 29 ready, less the deadline, against none hung", "≤ 1.10", "",
		ratios(figures(trials[1], less), figures(trials[0], ready)), 1.10)
	r.draw("archy-recovery, none hangs, the same 29 ready", "s", figures(trials[0], ready))
	r.draw("archy-recovery, one hangs, the other 29 ready", "s", figures(trials[1], ready))
}

// tools returns the versions of the compared software on the machine.
func tools(m *machine.Machine) string {
	return m.MustRun("dpkg-query", "--show", "--showformat=, ${Package} ${Version}",
		"systemd", "podman", "crun", "docker.io")
}

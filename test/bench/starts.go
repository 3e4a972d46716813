package main

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"archy-recovery/test/machine"
)

// trivialRow: containers that need nothing to start show what we cost.
func trivialRow(b *bench, r *Result) {
	f := trivial()
	m := newMachine(b)
	r.With += tools(m)
	disk := crash(b.t, m, f)
	tiered := ours(b.t, m, f, disk)
	restore := tiered.disk
	tiered.disk = func() { m.Remove(confFor); f.quadlets(m, false); restore() }
	var c course
	c.watch(b.t, m, &tiered)
	// The same without tiers is what we cost, and not what the order of starts costs.
	flat := tiered
	flat.name = "archy-recovery, all in one tier"
	flat.check = func(time.Time) { wantRecovered(b.t, m, containers) }
	flat.disk = func() {
		f.quadlets(m, false)
		restore()
		m.WriteFile(confFor, fmt.Sprintf("[Recovery]\nMinParallel=%d\nMaxParallel=%[1]d\n[Tiers]\nTier0=*\n", containers), 0o644, 0)
	}
	free, ordered := unordered(f), unordered(f)
	free.disk = func() { f.quadlets(m, false) }
	ordered.name = "ordered: units After= the tier below"
	ordered.disk = func() { f.quadlets(m, true) }
	// Each heat leaves the next one as many dead containers, which the first podman
	// command after a boot removes: nothing that starts fewer may be among them.
	heats := contest(b, m, free, tiered, ordered, flat)
	floor, own := figures(heats[0], returned), figures(heats[1], returned)
	r.Title = fmt.Sprintf("%d trivial containers in %d tiers", containers, tiers)
	r.most(r.Title+", crash to READY, against unordered", "≤ 1.10", "", ratios(own, floor), 1.10)
	r.most("the same, until tier 0 is ready", "< 0.6", "", ratios(figures(heats[1], tier0(f)), figures(heats[0], tier0(f))), 0.6)
	r.draw("archy-recovery, READY", "s", own)
	c.tell(r)
	r.draw("unordered, systemctl returned", "s", floor)
	r.draw("ordered, systemctl returned", "s", figures(heats[2], returned))
	r.add("ordered against unordered: what the order of tiers costs by itself", "", ratios(figures(heats[2], returned), floor))
	r.add("archy-recovery against ordered", "", ratios(own, figures(heats[2], returned)))
	r.draw("archy-recovery with all in one tier, READY", "s", figures(heats[3], returned))
	r.add("the same against unordered", "", ratios(figures(heats[3], returned), floor))
	r.add("archy-recovery, tier 0 ready", "s", figures(heats[1], tier0(f)))
	r.add("unordered, tier 0 ready", "s", figures(heats[0], tier0(f)))
	r.note("The ordered units are started by systemd alone: what is above them is ours.")
}

// slowRow: containers that take their time, as services do, show what tiers
// and their order cost.
func slowRow(b *bench, r *Result) {
	f := slow("slow", 500*time.Millisecond, 3*time.Second)
	m := newMachine(b)
	r.With += tools(m)
	disk := crash(b.t, m, f)
	// The units of all others have no order among them: it is what makes the
	// ordered floor.
	ordered, free, own := unordered(f), unordered(f), ours(b.t, m, f, disk)
	ordered.name = "ordered: units After= the tier below"
	ordered.disk = func() { f.quadlets(m, true) }
	free.disk = func() { f.quadlets(m, false) }
	restore := own.disk
	own.disk = func() { m.Remove(confFor); f.quadlets(m, false); restore() }
	var c course
	c.watch(b.t, m, &own)
	// How many start side by side follows the pressure of the whole host, the
	// neighbours' too. With a place for each of a tier that is out of the game.
	wide := own
	wide.disk = func() {
		f.quadlets(m, false)
		restore()
		m.WriteFile(confFor, fmt.Sprintf("[Recovery]\nMinParallel=%d\nMaxParallel=%[1]d\n", containers/tiers), 0o644, 0)
	}
	wide.name = "archy-recovery, a place for each of a tier"
	wide.check = func(time.Time) { wantRecovered(b.t, m, containers) }
	heats := contest(b, m, ordered, own, wide, free)
	r.Title = fmt.Sprintf("%d containers ready after 0.5 to 3 s, in %d tiers", containers, tiers)
	r.most(r.Title+", crash to READY, against ordered", "≤ 1.05", "", ratios(figures(heats[1], returned), figures(heats[0], returned)), 1.05)
	r.draw("archy-recovery, READY", "s", figures(heats[1], returned))
	c.tell(r)
	r.draw("ordered, systemctl returned", "s", figures(heats[0], returned))
	r.draw("archy-recovery with MinParallel=6, a place for each of a tier, READY", "s", figures(heats[2], returned))
	r.add("the same against ordered", "", ratios(figures(heats[2], returned), figures(heats[0], returned)))
	r.draw("unordered, systemctl returned", "s", figures(heats[3], returned))
	r.draw("critical path: the sum of each tier's slowest", "s", []float64{f.criticalPath().Seconds()})
	r.add("archy-recovery, tier 0 ready", "s", figures(heats[1], tier0(f)))
	r.add("ordered, tier 0 ready", "s", figures(heats[0], tier0(f)))
	r.add("unordered, tier 0 ready", "s", figures(heats[3], tier0(f)))
}

//go:embed scripts/old-module.sh
var oldModule string

const oldPath = "/usr/local/bin/old-module"

// oldRow: the module before this one. It sleeps most of its time, so that both
// fleets are its turn at once; ours are apart.
func oldRow(b *bench, r *Result) {
	fleets := []fleet{trivial(), slow("slow", 500*time.Millisecond, 3*time.Second)}
	m := newMachine(b)
	r.With += tools(m)
	m.WriteFile(oldPath, oldModule, 0o755, 0)
	var entrants []entrant
	var commands, sockets []string
	for _, f := range fleets {
		entrants = append(entrants, ours(b.t, m, f, crash(b.t, m, f)))
		commands = append(commands, oldPath+" "+strings.Join(f.plain(m, "podman", "old-"), " ")+" &")
		sockets = append(sockets, f.sockets()...)
	}
	entrants = append(entrants, entrant{name: "the old module", ready: sockets,
		start: []string{"sh", "-c", strings.Join(commands, "\n") + "\nwait"}})
	heats := contest(b, m, entrants...)
	r.Title = "The same containers, against the old module"
	for i, what := range []struct {
		name   string
		factor float64
	}{{"trivial containers", 20}, {"containers ready after 0.5 to 3 s", 5}} {
		own, old := figures(heats[i], all(fleets[i])), figures(heats[2], all(fleets[i]))
		r.least(fmt.Sprintf("%d %s, all ready: how many times faster than the old module", containers, what.name),
			fmt.Sprintf("≥ %.0f", what.factor), "", ratios(old, own), what.factor)
		r.draw("archy-recovery, "+what.name, "s", own)
		r.draw("the old module, "+what.name, "s", old)
	}
}

const dockerConf = `{"iptables":false,"bridge":"none","data-root":"/var/lib/containers/docker"}`

// needsRow: services that give up when what they need is not there, as real
// ones do. Each system runs the same programs its own way.
func needsRow(b *bench, r *Result) {
	f := chained(slow("needs", 200*time.Millisecond, 1500*time.Millisecond))
	m := newMachine(b)
	r.With += tools(m)
	disk := crash(b.t, m, f)
	f.plain(m, "podman", "pod-", "--restart=always")
	// Docker's data lie where podman's do: not on the machine's overlay.
	m.WriteFile("/etc/docker/daemon.json", dockerConf, 0o644, 0)
	m.MustRun("podman", "create", "--name", "image", machine.Image)
	m.Systemctl("start", "docker.service")
	m.MustRun("sh", "-c", `podman export image | docker import --change 'ENTRYPOINT ["/testapp"]' - `+machine.Image)
	m.MustRun("podman", "rm", "image")
	// Docker starts at boot what ran when it was killed.
	dockers := f.plain(m, "docker", "dock-", "--restart=always")
	m.MustRun(append([]string{"docker", "start"}, dockers...)...)
	heats := contest(b, m, ours(b.t, m, f, disk),
		entrant{name: "podman-restart.service", start: []string{"systemctl", "start", "podman-restart.service"}, ready: f.sockets(), lingers: true},
		entrant{name: "Docker", start: []string{"systemctl", "start", "docker.service"}, ready: f.sockets(), lingers: true})
	r.Title = fmt.Sprintf("%d containers that each need one of the tier below, ready after 0.2 to 1.5 s", containers)
	own := figures(heats[0], all(f))
	r.most(r.Title+", all ready, against podman-restart.service", "≤ 1", "", ratios(own, figures(heats[1], all(f))), 1)
	r.most("the same, against Docker", "≤ 1", "", ratios(own, figures(heats[2], all(f))), 1)
	r.most("the same, crashes on the way", "0", "crashes", crashes(heats[0]), 0)
	for i, name := range []string{"archy-recovery", "podman-restart.service", "Docker --restart=always"} {
		r.draw(name+", all ready", "s", figures(heats[i], all(f)))
		r.add(name+", crashes on the way", "crashes", crashes(heats[i]))
	}
	r.add("critical path: the sum of each tier's slowest", "s", []float64{f.criticalPath().Seconds()})
	r.note("Docker's time begins with the start of dockerd, as at a boot, and podman-restart.service's with its start; ours with the daemon's.")
}

// hungRow: one container that never becomes ready holds up its tier once.
func hungRow(b *bench, r *Result) {
	const deadline = 5 * time.Second
	well := trivial()
	for i := range well {
		well[i].ready = time.Millisecond // their units say when they are ready
	}
	hung := append(fleet(nil), well...)
	hung[0].hangs = true
	m := newMachine(b)
	r.With += tools(m)
	disk := crash(b.t, m, well)
	conf := func(e entrant, f fleet) entrant {
		restore := e.disk
		e.disk = func() {
			f.quadlets(m, false)
			m.WriteFile(confFor, fmt.Sprintf("[Recovery]\nTierDeadlineSec=%.0f\n", deadline.Seconds()), 0o644, 0)
			restore()
		}
		e.ready = hung.sockets() // of both: without the one that may hang
		return e
	}
	bad := conf(ours(b.t, m, hung, disk), hung)
	bad.name, bad.lingers, bad.check = "archy-recovery, one hangs", true, nil
	heats := contest(b, m, conf(ours(b.t, m, well, disk), well), bad)
	r.Title = "One container of tier 0 hangs, TierDeadlineSec=5"
	ready := func(h heat) time.Duration { return h.last(hung.sockets()) }
	less := func(h heat) time.Duration { return h.last(hung.sockets()) - deadline }
	r.most(r.Title+": the other 29 ready, less the deadline, against none hung", "≤ 1.10", "",
		ratios(figures(heats[1], less), figures(heats[0], ready)), 1.10)
	r.draw("archy-recovery, none hangs, the same 29 ready", "s", figures(heats[0], ready))
	r.draw("archy-recovery, one hangs, the other 29 ready", "s", figures(heats[1], ready))
}

// tools are the versions of what is compared, as the machine has them.
func tools(m *machine.Machine) string {
	out := m.MustRun("dpkg-query", "--show", "--showformat=, ${Package} ${Version}", "systemd", "podman", "crun", "docker.io")
	return out
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/test/machine"
)

// plainRow compares archy-recovery with podman-restart.service for containers without units:
// the time until all are ready, and the CPU time of the whole machine for it.
func plainRow(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	r.Title = fmt.Sprintf("Plain containers in %d tiers, against podman-restart.service", tiers)
	for _, many := range []int{30, 100, 300} {
		f := trivial()[:0]
		for i := range many {
			f = append(f, member{socket: fmt.Sprintf("plain%03d", i), tier: i % tiers})
		}
		names := f.plain(m, "podman", "", "--restart=always")
		plainFleet(b, r, m, f, names)
		m.MustRun(append([]string{"podman", "rm", "--force", "--time=0"}, names...)...)
	}
	r.note("podman-restart.service starts all containers with one podman and in no order. CPU time is that of the " +
		"machine's services, from the begin of the start until all containers are ready, and 3 s more.")
}

// plainFleet adds the figures of one fleet of plain containers.
func plainFleet(b *bench, r *Result, m *machine.Machine, f fleet, names []string) {
	var set []string
	for i, name := range names {
		set = append(set, fmt.Sprintf(`{"name":%q,"image":%q,"tier":%d}`, name, machine.Image, f[i].tier))
	}
	saved := savedState{
		"running-containers.json": `{"timestamp":1,"containers":[` + strings.Join(set, ",") + `]}`,
		"archipelago.pid":         "1\n",
	}
	own := recoveryContender(b.t, m, f, saved)
	own.check = func(time.Time) { wantUp(b.t, m, len(f)) }
	peer := contender{name: "podman-restart.service", start: []string{"systemctl", "start", "podman-restart.service"},
		ready: f.sockets()}
	var cpu [2][]float64
	for i, c := range []*contender{&own, &peer} {
		check, before := c.check, 0.0
		c.booted = func() { before = cpuTime(b, m) }
		c.check = func(began time.Time) {
			time.Sleep(3 * time.Second) // what is left behind READY counts, too
			cpu[i] = append(cpu[i], cpuTime(b, m)-before)
			if check != nil {
				check(began)
			}
		}
	}
	trials := compare(b, m, own, peer)
	what := fmt.Sprintf("%d plain containers", len(f))
	r.claimAtMost(what+", all ready, against podman-restart.service", "≤ 1.10", "",
		ratios(figures(trials[0], allReady(f)), figures(trials[1], allReady(f))), 1.10)
	r.claimAtMost(what+", CPU time of the machine, against the same", "≤ 1.20", "", ratios(cpu[0], cpu[1]), 1.20)
	r.draw("archy-recovery, "+what+", all ready", "s", figures(trials[0], allReady(f)))
	r.draw("podman-restart.service, "+what+", all ready", "s", figures(trials[1], allReady(f)))
	r.add("archy-recovery, "+what+", READY", "s", figures(trials[0], returned))
	r.add("archy-recovery, "+what+", CPU time", "s", cpu[0])
	r.add("podman-restart.service, "+what+", CPU time", "s", cpu[1])
}

// cpuTime returns the CPU time of the machine since its boot, in seconds: of its services, its
// users and its containers (cgroups(7), cpu.stat).
func cpuTime(b *bench, m *machine.Machine) float64 {
	text := m.MustRun("sh", "-c", "cd /sys/fs/cgroup; cat init.scope/cpu.stat *.slice/cpu.stat")
	var sum float64
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "usage_usec"); i == 0 {
			usec, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.t.Fatalf("cpu.stat: %v", err)
			}
			sum += usec / 1e6
		}
	}
	return sum
}

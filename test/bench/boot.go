package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/journal"
	"archy-recovery/test/machine"
)

// withoutRecovery has systemd start the units of the row boot by itself, and not archy-recovery.
const withoutRecovery = "/etc/systemd/system/multi-user.target.d/90-bench.conf"

// flooding writes the journal of the boot before: some 200 MB.
const flooding = "head -c 200000000 /dev/urandom | base64 -w 1000 | systemd-cat -t flood; journalctl --sync"

// inPlaceOfDaemon has the service ask the journal as the daemon does for the replay, and do nothing else.
const inPlaceOfDaemon = "/etc/systemd/system/archy-recovery.service.d/95-journalctl.conf"

// bootRow measures a boot after a power cut, with a large journal: from user space to the last of 30
// Quadlet units, by turns with archy-recovery and with systemd alone; and from the daemon's exec to
// the first start of a unit, beside the time of journalctl alone at that place of a boot.
func bootRow(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	f := trivial()
	// The soak lies behind what is measured. With a short one no container is a suspect of the next cut.
	m.WriteFile(confFile, "[Recovery]\nSoakSec=1\n", 0o644, 0)
	m.WriteFile("/etc/systemd/system/archy-recovery.service.d/90-bench.conf",
		"[Unit]\nConditionPathExists=!"+withoutRecovery+"\n", 0o644, 0)
	m.WriteFile("/etc/systemd/journald.conf.d/90-bench.conf",
		"[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=2G\nSystemKeepFree=1M\n", 0o644, 0)
	f.quadlets(m, false)
	m.MustRun("systemctl", "daemon-reload")
	m.MustRun("systemctl", "restart", "systemd-journald")
	m.MustRun(append([]string{"systemctl", "start"}, f.sockets()...)...)
	m.MustRun("systemctl", "enable", "--now", unit)
	m.MustRun("archy-recovery", "snapshot")
	m.MustRun("sh", "-c", flooding)
	var first, executed, own, alone, read []float64
	for range 2 * b.rounds {
		m.PullPlug()
		m.Remove(withoutRecovery)
		began, last := bootTrial(b, m, f)
		own = append(own, last-began)
		exec := moments(b, m, "ExecMainHandoffTimestampMonotonic", unit)[0]
		starts := moments(b, m, "InactiveExitTimestampMonotonic", f.sockets()...)
		first = append(first, 1000*(slices.Min(starts)-exec))
		executed = append(executed, 1000*(exec-began))
		boot := strings.TrimSpace(m.MustRun("systemd-id128", "boot-id"))
		wantRecovered(b.t, m, containers)
		time.Sleep(2 * time.Second) // until no container is a suspect of the next cut

		m.PullPlug()
		m.WriteFile(withoutRecovery, "[Unit]\nWants="+strings.Join(f.sockets(), ".service ")+".service\n", 0o644, 0)
		began, last = bootTrial(b, m, f)
		alone = append(alone, last-began)

		m.PullPlug()
		m.Remove(withoutRecovery)
		m.WriteFile(inPlaceOfDaemon, "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=\nExecStart="+
			strings.Join(replay(boot, f), " ")+"\n", 0o644, 0)
		bootToEnd(b, m)
		read = append(read, 1000*(moments(b, m, "ExecMainExitTimestampMonotonic", unit)[0]-
			moments(b, m, "ExecMainHandoffTimestampMonotonic", unit)[0]))
		m.Remove(inPlaceOfDaemon)
	}
	// journalctl is no work of ours. Where it alone takes long, 60 ms are left for the rest.
	limit := 100.0
	if alone := median(read); alone > 40 {
		limit = alone + 60
	}
	r.Title = fmt.Sprintf("A boot after a power cut: %d Quadlet units, and a journal of 200 MB", containers)
	r.claimAtMost("user space to the last container, against systemd alone", "≤ 1.05", "", ratios(own, alone), 1.05)
	r.claimAtMost("from the daemon's exec to the first start of a unit",
		"≤ 100 ms; or journalctl alone + 60 ms, if that takes over 40 ms", "ms", first, limit)
	r.draw("archy-recovery, from user space to the last container", "s", own)
	r.draw("systemd alone, which starts all at once: the same", "s", alone)
	r.add("from user space to the daemon's exec", "ms", executed)
	r.add("journalctl alone, in place of the daemon, with its question for the replay", "ms", read)
	r.note("systemd alone starts the units in no order, beside the rest of the boot. archy-recovery starts five tiers.")
}

// bootTrial boots, waits until the boot is over, and returns the moments, in seconds, at which user space
// began and the last container was up.
func bootTrial(b *bench, m *machine.Machine, f fleet) (began, last float64) {
	bootToEnd(b, m)
	return moments(b, m, "UserspaceTimestampMonotonic")[0],
		slices.Max(moments(b, m, "ActiveEnterTimestampMonotonic", f.sockets()...))
}

// bootToEnd boots, and waits until the boot is over.
func bootToEnd(b *bench, m *machine.Machine) {
	m.BootNoWait()
	if out, err := m.Run("systemctl", "is-system-running", "--wait"); err != nil {
		b.t.Fatalf("the machine is %s: %s", strings.TrimSpace(out), m.MustRun("systemctl", "--failed", "--no-legend"))
	}
}

// replay is what the daemon asks the journal for after a crash: the events of podman and of the fleet's
// units in the boot that crashed.
func replay(boot string, f fleet) []string {
	units := make([]string, len(f.sockets()))
	for i, name := range f.sockets() {
		units[i] = name + ".service"
	}
	return append([]string{"/usr/bin/journalctl", "--quiet", "--no-pager"},
		journal.NewReader(unit, 0).EventsCommand(boot, units)...)
}

// moments are what a property holds for each of the units, or for the manager, in seconds. Each has to
// be known.
func moments(b *bench, m *machine.Machine, property string, units ...string) (at []float64) {
	out := m.MustRun(append([]string{"systemctl", "show", "--value", "--property=" + property}, units...)...)
	for _, line := range strings.Fields(out) {
		at = append(at, float64(number64(b, line))/1e6)
	}
	if len(at) != max(1, len(units)) || slices.Contains(at, 0) {
		b.t.Fatalf("%s: %q", property, out)
	}
	return at
}

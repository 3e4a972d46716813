package main

import (
	"encoding/json"
	"fmt"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// Of the row that measures a late network.
const (
	networkContainers = 8
	userUnit          = "archy-recovery@1000.service"
	userConf          = "/etc/archy-recovery@1000.conf.d/90-bench.conf"
)

// activeBefore has each boot reach network-online.target before the user's manager begins, as
// on a host where some other unit wants it.
const (
	activeBefore     = "/etc/systemd/system/user@.service.d/90-bench.conf"
	activeBeforeText = "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"
)

// networkRow measures rootless recovery on a plain Debian: where the boot reaches
// network-online.target by another unit, where nothing but the instance wants it, with a
// network that is late by 20 s, and without one. No container needs the network.
func networkRow(b *bench, r *Result) {
	m := installed(b)
	r.With += tools(m)
	m.WriteFile(userConf, "[Recovery]\nSoakSec=1\n", 0o644, 0)
	m.MustRun("systemctl", "start", "network-online.target") // in this boot the instance comes last
	units := []string{"start"}
	for i := range networkContainers {
		name := fmt.Sprintf("net%d", i)
		m.Quadlet(machine.User, name+".container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\n",
			machine.Image, name, recover.TierLabel, i%tiers))
		units = append(units, name)
	}
	// A user's first podman commands of a boot kill each other's containers if they run in parallel.
	m.As(machine.User).MustRun("podman", "ps")
	m.As(machine.User).Systemctl(units...)
	m.MustRun("systemctl", "enable", "--now", userUnit)
	m.MustRun("archy-recovery", "--uid", "1000", "snapshot")
	active, there, late, never := []float64{}, []float64{}, []float64{}, []float64{}
	for range b.rounds {
		m.PromptNetwork()
		m.WriteFile(activeBefore, activeBeforeText, 0o644, 0)
		active = append(active, networkTrial(b.t, m))
		m.Remove(activeBefore)
		there = append(there, networkTrial(b.t, m))
		m.DelayNetwork()
		late = append(late, networkTrial(b.t, m, 20*time.Second))
		never = append(never, networkTrial(b.t, m))
	}
	r.Title = fmt.Sprintf("%d rootless containers in %d tiers, network late", networkContainers, tiers)
	r.claimAtMost("recovery where nothing else wants network-online.target, against one where it is active before",
		"≤ 1.15", "", ratios(there, active), 1.15)
	r.claimAtMost("recovery with a network that is late by 20 s, against the same", "≤ 1.15", "",
		ratios(late, active), 1.15)
	r.claimAtMost("recovery without a network, against the same", "≤ 1.15", "", ratios(never, active), 1.15)
	r.draw("READY, network-online.target active before", "s", active)
	r.draw("READY, with the network, nothing else wants the target", "s", there)
	r.draw("READY, with a network that is late by 20 s", "s", late)
	r.draw("READY, without a network", "s", never)
	r.note("The containers are Quadlet's with a network of pasta each, and none needs the host's network. " +
		"READY is counted from the begin of recovery.")
}

// networkTrial cuts the power and returns the seconds from the begin of recovery to
// READY. The network comes some time after the boot, if that is given.
func networkTrial(t machine.TB, m *machine.Machine, comes ...time.Duration) float64 {
	m.PullPlug()
	m.BootNoWait()
	booted := time.Now()
	m.WaitFor(5*time.Minute, "READY", func() bool {
		return m.Show(userUnit, "ActiveState")["ActiveState"] == "active"
	})
	var st control.Status
	if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "--uid", "1000", "status", "--json")), &st); err != nil {
		t.Fatalf("status: %v", err)
	}
	for _, row := range st.Containers {
		if row.State != recover.RowUp {
			t.Fatalf("%s is %s: %s", row.Name, row.State, row.Error)
		}
	}
	for _, after := range comes {
		time.Sleep(time.Until(booted.Add(after)))
		m.NetworkUp()
	}
	time.Sleep(4 * time.Second) // until no container is a suspect of the next cut
	return st.Finished.Sub(st.Started).Seconds()
}

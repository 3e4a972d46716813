package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// pacingRow compares limits of parallel starts: one that follows the host's
// pressure, a fixed one, and none. Some containers use CPU and memory while they
// start, others only wait.
func pacingRow(b *bench, r *Result) {
	const containers, tiers = 60, 5
	r.Title = fmt.Sprintf("Starts side by side: %d containers in %d tiers", containers, tiers)
	m := newMachine(b)
	r.With += tools(m)
	for _, load := range []struct{ what, exec string }{
		{"use 0.4 s of CPU and 64 MB", "-burn 400ms -hog 64"},
		{"only wait 1 s", "-ready-after 1s"},
	} {
		var set recover.Snapshot
		for i := range containers {
			name, tier := fmt.Sprintf("load%02d", i), i%tiers
			set.Containers = append(set.Containers, recover.Container{Name: name, Tier: &tier})
			m.WriteFile("/etc/containers/systemd/"+name+".container", fmt.Sprintf(
				"[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\nNotify=true\nExec=%s\n",
				machine.Image, name, recover.TierLabel, tier, load.exec), 0o644, 0)
		}
		snapshot, err := json.Marshal(set)
		if err != nil {
			b.t.Fatalf("%v", err)
		}
		for _, side := range []struct{ what, conf string }{
			{"following the pressure", ""},
			{"8", "MinParallel=8\nMaxParallel=8\n"},
			{"60: no bound", "MinParallel=60\nMaxParallel=60\n"},
		} {
			m.WriteFile(confFile, "[Recovery]\n"+side.conf, 0o644, 0)
			var first, all, memory []float64
			var stalls [3][]float64
			for range b.rounds {
				m.PullPlug()
				clearSuspects(m)
				m.WriteFile(dataDir+"running-containers.json", string(snapshot), 0o644, 0)
				m.WriteFile(dataDir+"archipelago.pid", "1\n", 0o644, 0)
				m.Boot()
				before := stalled(b.t, m)
				begin := time.Now()
				stop := make(chan struct{})
				peak := make(chan float64)
				go func() { peak <- peakMemory(m, stop) }()
				m.Systemctl("start", unit)
				took := time.Since(begin)
				close(stop)
				memory = append(memory, <-peak)
				all = append(all, took.Seconds())
				for i, after := range stalled(b.t, m) {
					stalls[i] = append(stalls[i], 100*(after-before[i]).Seconds()/took.Seconds())
				}
				wantUp(b.t, m, containers)
				st := status(b.t, m)
				ready := st.Started
				for _, row := range st.Containers {
					if row.Tier == 0 && row.Ended().After(ready) {
						ready = row.Ended()
					}
				}
				first = append(first, ready.Sub(st.Started).Seconds())
			}
			what := "they " + load.what + ", side by side " + side.what + ": "
			r.add(what+"tier 0 ready", "s", first)
			r.add(what+"all ready", "s", all)
			r.add(what+"peak memory", "MB", memory)
			for i, of := range []string{"CPU", "memory", "IO"} {
				r.add(what+"stalled for "+of, "%", stalls[i])
			}
		}
	}
}

// stalled returns how long tasks have waited for CPU, memory and IO.
func stalled(t machine.TB, m *machine.Machine) (totals [3]time.Duration) {
	for i, resource := range []string{"cpu", "memory", "io"} {
		stall, err := machine.ParseStall(m.MustRun("cat", "/proc/pressure/"+resource))
		if err != nil {
			t.Fatalf("%v", err)
		}
		totals[i] = stall
	}
	return totals
}

// peakMemory returns the largest memory use of all containers' programs together,
// in MB, until stop is closed. There is no event for it, so this polls.
func peakMemory(m *machine.Machine, stop chan struct{}) (peak float64) {
	for {
		select {
		case <-stop:
			return peak
		case <-time.After(100 * time.Millisecond):
		}
		out, err := m.Run("sh", "-c", "ps -C testapp -o rss= | awk '{n += $1} END {print n + 0}'")
		if kb, parseErr := strconv.ParseFloat(strings.TrimSpace(out), 64); err == nil && parseErr == nil {
			peak = max(peak, kb/1000)
		}
	}
}

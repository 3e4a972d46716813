package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// pacing measures what the number of starts side by side is worth: containers
// that use CPU and memory while they start, with a number that follows the
// host's pressure, with a fixed one, and with none; and containers that only
// wait.
func pacing(t machine.TB, deb string, rounds int) {
	const containers, tiers = 60, 5
	m := machine.Start(t)
	m.Install(deb)
	m.WriteFile("/etc/archy-recovery.conf.d/90-bench.conf", "", 0o644, 0)
	for _, load := range []struct{ what, exec string }{
		{"that use 0.4 s of CPU and 64 MB while they start", "-burn 400ms -hog 64"},
		{"that only wait 1 s", "-ready-after 1s"},
	} {
		var set recover.Snapshot
		for i := range containers {
			name, tier := fmt.Sprintf("load%02d", i), i%tiers
			set.Containers = append(set.Containers, recover.Container{Name: name, Tier: &tier})
			m.Quadlet(0, name+".container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\nNotify=true\nExec=%s\n",
				machine.Image, name, recover.TierLabel, tier, load.exec))
		}
		snapshot, err := json.Marshal(set)
		if err != nil {
			t.Fatalf("%v", err)
		}
		fmt.Printf("\n%d containers %s, %d tiers, %d rounds; medians\n", containers, load.what, tiers, rounds)
		fmt.Printf("  %-28s %14s %10s %14s %22s\n", "starts side by side", "tier 0 ready", "all ready", "peak memory", "stalled: CPU, memory, IO")
		for _, side := range []struct{ what, conf string }{
			{"follow the pressure", ""},
			{"8", "MinParallel=8\nMaxParallel=8\n"},
			{"60: no bound", "MinParallel=60\nMaxParallel=60\n"},
		} {
			m.WriteFile("/etc/archy-recovery.conf.d/90-bench.conf", "[Recovery]\n"+side.conf, 0o644, 0)
			var first, all, memory []float64
			var stalls [3][]float64
			for range rounds {
				m.PullPlug()
				unsuspect(m)
				m.WriteFile("/var/lib/archy-recovery/running-containers.json", string(snapshot), 0o644, 0)
				m.WriteFile("/var/lib/archy-recovery/archipelago.pid", "1\n", 0o644, 0)
				m.Boot()
				before := stalled(t, m)
				begin := time.Now()
				stop := make(chan struct{})
				peak := make(chan float64)
				go func() { peak <- peakMemory(m, stop) }()
				m.Systemctl("start", unit)
				took := time.Since(begin)
				close(stop)
				memory = append(memory, <-peak)
				all = append(all, took.Seconds())
				for i, after := range stalled(t, m) {
					stalls[i] = append(stalls[i], (after-before[i]).Seconds()/took.Seconds())
				}
				var st control.Status
				if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "status", "--json")), &st); err != nil {
					t.Fatalf("status: %v", err)
				}
				ready := st.Started
				for _, row := range st.Containers {
					if row.State != recover.RowUp {
						t.Fatalf("%s is %s: %s", row.Name, row.State, row.Error)
					}
					if row.Tier == 0 && row.Ended().After(ready) {
						ready = row.Ended()
					}
				}
				first = append(first, ready.Sub(st.Started).Seconds())
			}
			fmt.Printf("  %-28s %12.2f s %8.2f s %11.0f MB %8.0f%% %5.0f%% %5.0f%%\n", side.what, median(first), median(all),
				median(memory), 100*median(stalls[0]), 100*median(stalls[1]), 100*median(stalls[2]))
		}
	}
}

// stalled reads the totals of /proc/pressure: CPU, memory, IO.
func stalled(t machine.TB, m *machine.Machine) (totals [3]time.Duration) {
	for i, what := range []string{"cpu", "memory", "io"} {
		text := m.MustRun("cat", "/proc/pressure/"+what)
		_, total, _ := strings.Cut(strings.SplitN(text, "\n", 2)[0], "total=")
		us, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		totals[i] = time.Duration(us) * time.Microsecond
	}
	return totals
}

// peakMemory is the most that the containers' programs held at once, in MB, as
// seen by looking again and again: nothing tells.
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

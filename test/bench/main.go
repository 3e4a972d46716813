// Command bench measures what archy-recovery costs on a real machine, beside
// the floor that systemd itself sets. `make bench` runs it. Figures of one run
// are comparable with each other only: quote the ratios.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

const (
	containers = 30
	tiers      = 5
	unit       = "archy-recovery.service"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often each thing is measured; medians are printed")
	idle := flag.Duration("idle", 2*time.Minute, "how long the idle daemon is watched")
	only := flag.String("only", "", "measure only `recovery` or pacing")
	flag.Parse()
	deb := os.Getenv("ARCHY_DEB")
	if deb == "" {
		fmt.Fprintln(os.Stderr, "ARCHY_DEB does not name the package to measure: run `make bench`")
		os.Exit(2)
	}
	os.Exit(machine.Demo("bench", func(t machine.TB) {
		if *only != "pacing" {
			bench(t, deb, *rounds, *idle)
		}
		if *only != "recovery" {
			pacing(t, deb, *rounds)
		}
	}))
}

func bench(t machine.TB, deb string, rounds int, idle time.Duration) {
	m := machine.Start(t)
	m.Install(deb)
	var names []string
	for i := range containers {
		name := fmt.Sprintf("unit%02d", i)
		names = append(names, name)
		m.Quadlet(0, name+".container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\n",
			machine.Image, name, recover.TierLabel, i%tiers))
	}
	m.Systemctl(append([]string{"start"}, names...)...)
	m.Systemctl("start", unit)
	m.WaitFor(20*time.Second, "the snapshot", func() bool {
		text, _ := m.ReadFile("/var/lib/archy-recovery/running-containers.json")
		var s recover.Snapshot
		return json.Unmarshal([]byte(text), &s) == nil && len(s.Containers) == containers
	})

	// The unit is not enabled, so that after each boot the floor and recovery
	// begin from the same: a machine that has booted and idles.
	var floor, crash, ratio []float64
	for range rounds {
		m.PullPlug()
		m.Boot()
		begin := time.Now()
		m.Systemctl(append([]string{"start"}, names...)...)
		floor = append(floor, time.Since(begin).Seconds())

		m.PullPlug()
		unsuspect(m)
		m.Boot()
		begin = time.Now()
		m.Systemctl("start", unit) // returns with READY=1
		crash = append(crash, time.Since(begin).Seconds())
		ratio = append(ratio, crash[len(crash)-1]/floor[len(floor)-1])
		wantRecovered(t, m)
	}
	fmt.Printf("%d trivial Quadlet containers, %d tiers, %d rounds, after a crash; seconds\n", containers, tiers, rounds)
	show("one unordered systemctl start of all", floor)
	show("archy-recovery, until READY=1", crash)
	show("ratio, pair by pair (target: at most 1.25)", ratio)

	pid := m.Show(unit, "MainPID")["MainPID"]
	fmt.Printf("\nthe daemon, after recovery and then idle for %s\n", idle)
	fmt.Printf("  %-46s %s\n", "CPU, whole recovery (ms)", cpu(t, m, pid))
	before := switches(t, m, pid)
	time.Sleep(idle) // what is measured is that nothing happens
	fmt.Printf("  %-46s %d\n", "wake-ups in that time (all threads)", switches(t, m, pid)-before)
	fmt.Printf("  %-46s %s (target: at most 15)\n", "RSS (MB)", rss(t, m, pid))
	fmt.Println("\nthe binary")
	for _, arch := range []string{"", "-arm64"} {
		if info, err := os.Stat(filepath.Join("bin", "archy-recovery"+arch)); err == nil {
			fmt.Printf("  %-46s %.1f\n", "bin/archy-recovery"+arch+" (MB)", float64(info.Size())/1e6)
		}
	}
}

// unsuspect clears those in flight of a machine that is off: its plug was pulled
// so soon after the last recovery that they would be started one at a time.
func unsuspect(m *machine.Machine) {
	m.Remove("/var/lib/archy-recovery/in-flight.json")
	m.Remove("/var/lib/archy-recovery/quarantine.json")
}

func wantRecovered(t machine.TB, m *machine.Machine) {
	var st control.Status
	if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "status", "--json")), &st); err != nil {
		t.Fatalf("status: %v", err)
	}
	up := 0
	for _, row := range st.Containers {
		if row.State == recover.RowUp {
			up++
		}
	}
	if up != containers || st.Verdict.Ending != recover.HostCrashed {
		t.Fatalf("%d of %d containers up after a %s", up, containers, st.Verdict.Ending)
	}
}

func show(what string, figures []float64) {
	fmt.Printf("  %-46s median %.2f   min %.2f   max %.2f\n", what,
		median(figures), slices.Min(figures), slices.Max(figures))
}

func median(figures []float64) float64 {
	return slices.Sorted(slices.Values(figures))[len(figures)/2]
}

// switches is how often the process's threads have slept and been woken
// (voluntary_ctxt_switches, proc_pid_status(5)).
func switches(t machine.TB, m *machine.Machine, pid string) int {
	total := 0
	for line := range strings.Lines(m.MustRun("sh", "-c", "cat /proc/"+pid+"/task/*/status")) {
		if text, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			total += n
		}
	}
	return total
}

func rss(t machine.TB, m *machine.Machine, pid string) string {
	for line := range strings.Lines(m.MustRun("cat", "/proc/"+pid+"/status")) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return fmt.Sprintf("%.1f", float64(kb)/1000)
		}
	}
	return "?"
}

// cpu is the user and system time of the process (fields 14 and 15 of
// proc_pid_stat(5), in ticks of 10 ms).
func cpu(t machine.TB, m *machine.Machine, pid string) string {
	stat := m.MustRun("cat", "/proc/"+pid+"/stat")
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		t.Fatalf("%q", stat)
	}
	return strconv.Itoa((user + system) * 10)
}

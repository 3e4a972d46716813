package main

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

const traced = dataDir + "bench-trace"

// straceConf runs the daemon under strace. strace is a grandchild of the daemon, so
// the daemon stays the main process. The sandbox only loses its filter of system
// calls.
const straceConf = `[Service]
ExecStart=
ExecStart=/usr/bin/strace -D -f -y -ttt -o ` + traced + ` -e trace=fsync,fdatasync \
	/usr/bin/archy-recovery daemon --system
SystemCallFilter=
`

// syncedFile matches a call in the trace: its time, in seconds, and its file.
var syncedFile = regexp.MustCompile(`(\d+\.\d+) f(?:data)?sync\(\d+<([^>]*)>`)

// fsyncsRow counts the fsync calls between exec and READY.
func fsyncsRow(b *bench, r *Result) {
	f := trivial()
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, f)
	m.WriteFile("/etc/systemd/system/"+unit+".d/bench.conf", straceConf, 0o644, 0)
	c := recoveryContender(b.t, m, f, saved)
	restore := c.prepare
	c.prepare = func() { m.Remove(traced); restore() }
	var counts []float64
	files := map[string]int{}
	c.check = func(time.Time) {
		trace, err := m.ReadFile(traced)
		if err != nil {
			b.t.Fatalf("%v", err)
		}
		ready := float64(wantRecovered(b.t, m, len(f)).Finished.UnixNano()) / 1e9
		count := 0.0
		clear(files)
		for _, match := range syncedFile.FindAllStringSubmatch(trace, -1) {
			if at, err := strconv.ParseFloat(match[1], 64); err == nil && at <= ready {
				count++
				files[ownName(match[2])]++
			}
		}
		counts = append(counts, count)
	}
	compare(b, m, c)
	r.Title = "fsyncs of a recovery of 30 in five batches"
	r.claimAtMost(r.Title, "≤ 2 a batch + 5 = 15", "", counts, 2*tiers+5)
	var each []string
	for name, n := range files {
		each = append(each, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(each)
	r.note("By file, in the last round: " + strings.Join(each, ", ") + ".")
}

// ownName returns the name of a state file, without the affixes of a temporary file.
func ownName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if path+"/" == dataDir {
		return "the directory"
	}
	return strings.TrimRight(strings.TrimPrefix(name, "."), "0123456789")
}

// recovered returns a machine on which archy-recovery has just recovered 30
// containers.
func recovered(b *bench, r *Result) *machine.Machine {
	f := trivial()
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, f)
	recoveryContender(b.t, m, f, saved).run(b.t, m)
	return m
}

// tickRow measures the cost of a snapshot by the timer without a change.
func tickRow(b *bench, r *Result) {
	m := recovered(b, r)
	const times = 10
	own := func() time.Duration { return cgroupCPU(b.t, m, unit) }
	var daemon, client, ps, warm, cold []float64
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	for range b.rounds {
		ps = append(ps, ms(childCPU(b.t, m, times, "podman ps --format json")))
		// podman's service runs during each of these.
		m.MustRun("archy-recovery", "snapshot", "--quiet")
		before, podman := own(), cgroupCPU(b.t, m, "podman.service")
		client = append(client, ms(childCPU(b.t, m, times, "archy-recovery snapshot --quiet")))
		daemon = append(daemon, ms((own()-before)/times))
		warm = append(warm, ms((cgroupCPU(b.t, m, "podman.service")-podman)/times))
		// By the time of the timer's next call, podman's service has ended.
		m.WaitFor(30*time.Second, "podman's service to end", func() bool {
			return m.Show("podman.service", "ActiveState")["ActiveState"] == "inactive"
		})
		m.MustRun("archy-recovery", "snapshot", "--quiet")
		cold = append(cold, ms(cgroupCPU(b.t, m, "podman.service")))
	}
	r.Title = "A snapshot tick with nothing changed, 30 containers: CPU"
	var sum []float64
	for i := range daemon {
		sum = append(sum, daemon[i]+client[i])
	}
	r.claimAtMost("A snapshot tick with nothing changed, ours (daemon and client), against one podman ps", "≤ 1/5", "",
		ratios(sum, ps), 0.2)
	r.add("the daemon", "ms", daemon)
	r.add("the timer's client (archy-recovery snapshot)", "ms", client)
	r.add("podman's service, which answers, when it runs already", "ms", warm)
	r.add("podman's service, when it has to be started for it, as every two minutes", "ms", cold)
	r.add("podman ps --format json", "ms", ps)
	var whole []float64
	for i := range sum {
		whole = append(whole, sum[i]+cold[i])
	}
	r.add("all of a tick, podman's service with it, against one podman ps", "", ratios(whole, ps))
}

// childCPU returns the mean CPU time of a command on the machine.
func childCPU(t machine.TB, m *machine.Machine, times int, command string) time.Duration {
	script := fmt.Sprintf("for i in $(seq %d); do %s >/dev/null; done; times", times, command)
	out := strings.Fields(m.MustRun("bash", "-c", script))
	var sum time.Duration
	for _, text := range out[len(out)-2:] { // of the shell's children: user, system
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("times: %q", out)
		}
		sum += d
	}
	return sum / time.Duration(times)
}

// cgroupCPU returns the CPU time that a unit has used since its start.
func cgroupCPU(t machine.TB, m *machine.Machine, unit string) time.Duration {
	text, err := m.ReadFile("/sys/fs/cgroup/system.slice/" + unit + "/cpu.stat")
	if err != nil {
		t.Fatalf("%v", err)
	}
	_, usage, _ := strings.Cut(strings.SplitN(text, "\n", 2)[0], "usage_usec ")
	us, err := strconv.ParseInt(usage, 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return time.Duration(us) * time.Microsecond
}

// durableRow starts additional containers, and measures the time until the snapshot
// holds each.
func durableRow(b *bench, r *Result) {
	const starts = 50
	m := recovered(b, r)
	for i := range starts {
		m.WriteFile(fmt.Sprintf("/etc/containers/systemd/extra%02d.container", i),
			fmt.Sprintf("[Container]\nImage=%s\nContainerName=extra%02d\n", machine.Image, i), 0o644, 0)
	}
	m.Reload()
	var took []float64
	for i := range starts {
		name := fmt.Sprintf("extra%02d", i)
		m.Systemctl("start", name)
		begin := time.Now()
		for {
			text, err := m.ReadFile(dataDir + "running-containers.json")
			if err == nil && strings.Contains(text, `"`+name+`"`) {
				break
			}
			if time.Since(begin) > 30*time.Second {
				b.t.Fatalf("%s is not in the snapshot", name)
			}
			time.Sleep(2 * time.Millisecond) // there is no event for it
		}
		took = append(took, time.Since(begin).Seconds())
	}
	slices.Sort(took)
	r.Title = fmt.Sprintf("From the start of a container to the snapshot with it, %d starts", starts)
	r.Rounds = 1
	r.claimAtMost(r.Title+": p99", "≤ 1 s", "s", []float64{p99(took)}, 1)
	r.add("all", "s", took)
	r.note("The time begins when the unit is active. It ends when the snapshot with the name is synced and renamed; " +
		"the sync of the directory follows.")
}

// scaleRow uses units that do nothing, so that the daemon's own share is visible.
func scaleRow(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	sizes := []int{30, 100, 300, 1000}
	for i := range sizes[len(sizes)-1] {
		m.WriteFile(fmt.Sprintf("/etc/systemd/system/%s.service", idleName(i)),
			"[Service]\nType=oneshot\nRemainAfterExit=yes\nEnvironment=PODMAN_SYSTEMD_UNIT=%n\nExecStart=/bin/true\n",
			0o644, 0)
	}
	m.Reload()
	used, peak, resting := map[int][]float64{}, map[int][]float64{}, map[int][]float64{}
	for range b.rounds {
		for _, n := range sizes {
			m.MustRun("sh", "-c", "systemctl stop "+unit+" archy-recovery.socket 'idle*.service'; systemctl reset-failed")
			var set []recover.Container
			for i := range n {
				tier := i % tiers
				set = append(set, recover.Container{Name: idleName(i), Image: "none", Unit: idleName(i) + ".service",
					Tier: &tier})
			}
			clearSuspects(m)
			crashedWith(b.t, set).write(m, dataDir, 0)
			m.Systemctl("start", unit)
			ms := float64(cgroupCPU(b.t, m, unit)) / float64(time.Millisecond)
			pid := m.Show(unit, "MainPID")["MainPID"]
			used[n] = append(used[n], ms)
			peak[n] = append(peak[n], memory(b.t, m, pid, "VmHWM"))
			wantUp(b.t, m, n)
			time.Sleep(3 * time.Second) // until the work after READY is over
			resting[n] = append(resting[n], memory(b.t, m, pid, "VmRSS"))
		}
	}
	r.Title = "The daemon's CPU and memory by the number of units"
	per := func(from, to int) (us []float64) {
		for i := range used[to] {
			us = append(us, (used[to][i]-used[from][i])*1000/float64(to-from))
		}
		return us
	}
	change := ratios(per(300, 1000), per(30, 300))
	r.Claims = append(r.Claims, Claim{"CPU for one unit more, between 300 and 1,000, against between 30 and 300",
		"0.8 – 1.2", change, "", median(change) >= 0.8 && median(change) <= 1.2})
	for _, n := range sizes {
		r.add(fmt.Sprintf("CPU until READY, %d units", n), "ms", used[n])
		r.add(fmt.Sprintf("peak RSS, %d units", n), "MB", peak[n])
		r.add(fmt.Sprintf("RSS 3 s after READY, %d units", n), "MB", resting[n])
	}
	r.add("CPU for one unit more, 30 to 300", "µs", per(30, 300))
	r.add("CPU for one unit more, 300 to 1,000", "µs", per(300, 1000))
	r.note("The CPU time includes journalctl, which the daemon runs once in a recovery. The units run /bin/true, so " +
		"that podman has no work. The daemon, systemd and the bus are the real ones.")
}

func idleName(i int) string { return fmt.Sprintf("idle%04d", i) }

// rssRow measures the daemon's memory with many real containers.
func rssRow(b *bench, r *Result) {
	const many = 300
	m := newMachine(b)
	r.With += tools(m)
	var set []recover.Container
	for i := range many {
		name := fmt.Sprintf("many%03d", i)
		m.WriteFile("/etc/containers/systemd/"+name+".container",
			fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\n[Service]\nTimeoutStartSec=900\n",
				machine.Image, name), 0o644, 0)
		tier := i % tiers
		set = append(set, recover.Container{Name: name, Image: machine.Image, Unit: name + ".service", Tier: &tier})
	}
	m.Reload()
	c := recoveryContender(b.t, m, nil, crashedWith(b.t, set))
	c.check = func(time.Time) { wantUp(b.t, m, many) }
	kinds := []string{"VmRSS", "VmHWM", "RssAnon", "RssFile"}
	figures := map[string][]float64{}
	var ticked []float64
	for range b.rounds {
		c.run(b.t, m)
		pid := m.Show(unit, "MainPID")["MainPID"]
		time.Sleep(time.Minute) // until the daemon idles and has released its memory
		for _, kind := range kinds {
			figures[kind] = append(figures[kind], memory(b.t, m, pid, kind))
		}
		m.MustRun("archy-recovery", "snapshot", "--quiet")
		time.Sleep(time.Second) // until its connection is closed
		ticked = append(ticked, memory(b.t, m, pid, "VmRSS"))
	}
	r.Title = fmt.Sprintf("The daemon's memory with %d containers", many)
	r.claimAtMost(r.Title+", RSS at idle", "≤ 12 MB", "MB", figures["VmRSS"], 12)
	r.claimAtMost("the same, at peak", "≤ 25 MB", "MB", figures["VmHWM"], 25)
	for _, kind := range kinds[2:] {
		r.add(kind+" at idle", "MB", figures[kind])
	}
	r.add("RSS after a snapshot tick", "MB", ticked)
	r.note("The file-backed part is the program itself. 30 s after READY the daemon returns its pages to the page " +
		"cache. The pages that it needs are mapped again.")
}

// memory returns a figure of proc_pid_status(5), in MB.
func memory(t machine.TB, m *machine.Machine, pid, what string) float64 {
	for line := range strings.Lines(m.MustRun("cat", "/proc/"+pid+"/status")) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == what+":" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return float64(kb) / 1000
		}
	}
	t.Fatalf("the status of PID %s has no %s", pid, what)
	return 0
}

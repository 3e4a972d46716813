package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A burst is what the daemon does from waking up until it sleeps again.
type burst struct {
	began           float64 // in seconds
	watchdog, asked bool
	working         bool     // it calls for more than Go's scheduler does by itself
	calls           []string // as strace saw them
}

// echoes are within this many seconds after a wake-up of the watchdog's: after a
// collection of garbage Go's runtime gives memory back in small portions, and
// sleeps so long between two that it takes a hundredth of a CPU.
const echoes = 1.1

// scheduling are the system calls of Go's scheduler, its timers, and its
// scavenger.
var scheduling = regexp.MustCompile(`^\d+ +[\d.]+ (<\.\.\. )?(futex|nanosleep|epoll_pwait|sched_yield|sched_getaffinity|madvise|getpid|tgkill|rt_sigreturn|--- SIGURG)\b`)

// idleRow has strace look at a daemon that has nothing to do.
func idleRow(b *bench, r *Result) {
	m := recovered(b, r)
	time.Sleep(35 * time.Second) // soak and what else follows a recovery
	pid := m.Show(unit, "MainPID")["MainPID"]
	const trace = "/var/tmp/bench-idle"
	seconds := strconv.Itoa(int(b.idle.Seconds()))
	// timeout ends strace, and says so by its exit status.
	ctx, cancel := context.WithTimeout(context.Background(), b.idle+time.Minute)
	defer cancel()
	if _, err := m.RunContext(ctx, "sh", "-c", "timeout "+seconds+" strace -f -ttt -s 60 -p "+pid+" -o "+trace+" 2>/dev/null; test $? = 124"); err != nil {
		b.t.Fatalf("%v", err)
	}
	text, err := m.ReadFile(trace)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	bursts := wakeUps(text)
	watchdog, asked, echo, others := 0, 0, 0, 0
	last := 0.0
	for _, w := range bursts {
		switch {
		case w.watchdog:
			watchdog++
			last = w.began
		case !w.working && w.began-last < echoes:
			echo++
		case w.asked:
			asked++
		default:
			others++
			b.t.Logf("neither the watchdog's nor the timer's:\n%s", strings.Join(w.calls, ""))
		}
	}
	r.Title, r.Rounds = fmt.Sprintf("The idle daemon, watched for %s", b.idle), 1
	r.most("Wake-ups at idle that are neither the watchdog's nor the timer's, in "+b.idle.String(), "0", "", []float64{float64(others)}, 0)
	hour := time.Hour.Seconds() / b.idle.Seconds()
	r.add("wake-ups an hour, at this rate", "", []float64{float64(len(bursts)) * hour})
	r.add("the watchdog's", "", []float64{float64(watchdog)})
	r.add("of Go's runtime, within a second after the watchdog's", "", []float64{float64(echo)})
	r.add("of the snapshot timer's client and what it asks for", "", []float64{float64(asked)})
	r.add("RSS", "MB", []float64{memory(b.t, m, pid, "VmRSS")})
	r.note("Those of Go's runtime make none but the scheduler's own calls: after a collection of garbage, which a wake-up of the watchdog's can bring, it gives pages back and sleeps in between.")
	r.note("The snapshot timer is off, as is all that would ask: what is left is the watchdog's.")
	for _, arch := range []string{"", "-arm64"} {
		if info, err := os.Stat(filepath.Join("bin", "archy-recovery"+arch)); err == nil {
			r.add("size of the binary archy-recovery"+arch, "MB", []float64{float64(info.Size()) / 1e6})
		}
	}
}

// wakeUps groups the system calls of a trace: what comes within a tenth of a
// second is one wake-up. Those of the first second are strace's own doing.
func wakeUps(trace string) (bursts []burst) {
	var began, last float64
	for line := range strings.Lines(trace) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		at, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			continue
		}
		if began == 0 {
			began = at
		}
		if at-began < 1 {
			continue
		}
		if len(bursts) == 0 || at-last > 0.1 {
			bursts = append(bursts, burst{began: at})
		}
		last = at
		w := &bursts[len(bursts)-1]
		w.calls = append(w.calls, line)
		w.working = w.working || !scheduling.MatchString(line)
		w.watchdog = w.watchdog || strings.Contains(line, "WATCHDOG=1")
		w.asked = w.asked || strings.Contains(line, "accept4(") || strings.Contains(line, "PropertiesChanged") || strings.Contains(line, "libpod")
	}
	return bursts
}

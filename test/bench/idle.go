package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"archy-recovery/test/machine"
)

// A wakeUp is the daemon's activity from a wake-up until it sleeps again.
type wakeUp struct {
	began           float64 // in seconds
	watchdog, asked bool
	working         bool     // it makes other system calls than Go's scheduler
	calls           []string // strace's lines
}

// scavengingTime is the longest time, in seconds, between a wake-up by the watchdog
// and the wake-ups of Go's runtime that follow. After a garbage collection the
// runtime returns memory in small portions. It sleeps in between, so that it uses
// only a hundredth of a CPU.
const scavengingTime = 1.1

// scheduling matches the system calls of Go's scheduler, timers and scavenger.
var scheduling = regexp.MustCompile(`^\d+ +[\d.]+ (<\.\.\. )?(futex|nanosleep|epoll_pwait|sched_yield|` +
	`sched_getaffinity|madvise|getpid|tgkill|rt_sigreturn|--- SIGURG)\b`)

// idleRow counts the wake-ups of idle daemons, each on a machine of its own, side by side.
func idleRow(b *bench, r *Result) {
	var machines []*machine.Machine
	with := r.With
	for range b.rounds {
		r.With = with // each of them adds its tools
		machines = append(machines, recovered(b, r))
	}
	time.Sleep(35 * time.Second) // until the soak and the release of memory are over
	traces := make([]idleTrace, len(machines))
	var watching sync.WaitGroup
	for i, m := range machines {
		traces[i].pid = m.Show(unit, "MainPID")["MainPID"]
		watching.Go(func() { traces[i].watch(m, b.idle) })
	}
	watching.Wait()
	var others, all, watchdog, echo, asked, rss []float64
	for i, tr := range traces {
		if tr.err != nil {
			b.t.Fatalf("%v", tr.err)
		}
		n := tr.count(b)
		others, watchdog = append(others, n.others), append(watchdog, n.watchdog)
		echo, asked = append(echo, n.echo), append(asked, n.asked)
		all = append(all, (n.others+n.watchdog+n.echo+n.asked)*time.Hour.Seconds()/b.idle.Seconds())
		rss = append(rss, memory(b.t, machines[i], tr.pid, "VmRSS"))
	}
	r.Title = fmt.Sprintf("Idle daemons side by side, watched for %s", b.idle)
	r.claimAtMost("Wake-ups at idle that are neither the watchdog's nor the timer's, in "+b.idle.String(), "0", "",
		others, 0)
	r.add("wake-ups an hour, at this rate", "", all)
	r.add("the watchdog's", "", watchdog)
	r.add("of Go's runtime, within a second after the watchdog's", "", echo)
	r.add("of the snapshot timer's client and what it asks for", "", asked)
	r.add("RSS", "MB", rss)
	r.note("Wake-ups of Go's runtime make only system calls of its scheduler. A wake-up by the watchdog can cause a " +
		"garbage collection, after which the runtime returns memory in small portions.")
	r.note("The snapshot timer is off, and no client asks, so only the watchdog wakes the daemon.")
	for _, arch := range []string{"", "-arm64"} {
		if info, err := os.Stat(filepath.Join("bin", "archy-recovery"+arch)); err == nil {
			r.add("size of the binary archy-recovery"+arch, "MB", []float64{float64(info.Size()) / 1e6})
		}
	}
}

// An idleTrace is strace's output for an idle daemon.
type idleTrace struct {
	pid, text string
	err       error
}

// watch traces the daemon for so long. It may be called from any goroutine.
func (tr *idleTrace) watch(m *machine.Machine, howLong time.Duration) {
	const trace = "/var/tmp/bench-idle"
	seconds := strconv.Itoa(int(howLong.Seconds()))
	// timeout(1) ends strace, and its exit status shows that.
	ctx, cancel := context.WithTimeout(context.Background(), howLong+time.Minute)
	defer cancel()
	_, tr.err = m.RunContext(ctx, "sh", "-c", "timeout "+seconds+" strace -f -ttt -s 60 -p "+tr.pid+" -o "+trace+
		" 2>/dev/null; test $? = 124")
	if tr.err == nil {
		tr.text, tr.err = m.ReadFile(trace)
	}
}

// idleCounts are numbers of wake-ups, by their cause.
type idleCounts struct{ watchdog, asked, echo, others float64 }

func (tr *idleTrace) count(b *bench) (n idleCounts) {
	last := 0.0
	for _, w := range parseWakeUps(tr.text) {
		switch {
		case w.watchdog:
			n.watchdog++
			last = w.began
		case !w.working && w.began-last < scavengingTime:
			n.echo++
		case w.asked:
			n.asked++
		default:
			n.others++
			b.t.Logf("a wake-up of neither the watchdog nor the timer:\n%s", strings.Join(w.calls, ""))
		}
	}
	return n
}

// parseWakeUps groups the system calls of a trace. Calls less than a tenth of a
// second apart are one wake-up. The first second is left out, because strace itself
// causes its calls.
func parseWakeUps(trace string) (wakeUps []wakeUp) {
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
		if len(wakeUps) == 0 || at-last > 0.1 {
			wakeUps = append(wakeUps, wakeUp{began: at})
		}
		last = at
		w := &wakeUps[len(wakeUps)-1]
		w.calls = append(w.calls, line)
		w.working = w.working || !scheduling.MatchString(line)
		w.watchdog = w.watchdog || strings.Contains(line, "WATCHDOG=1")
		w.asked = w.asked || strings.Contains(line, "accept4(") || strings.Contains(line, "PropertiesChanged") ||
			strings.Contains(line, "libpod")
	}
	return wakeUps
}

package recovery

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSoak runs many recoveries on one machine that stays on. Each follows a kill
// of all containers and the daemon. The daemon, the containers' manager and its
// message bus must not use more and more open files or memory. By default the test
// is short; `make soak` makes it long.
func TestSoak(t *testing.T) {
	rounds, long := 4, false
	if text := os.Getenv("SOAK_MACHINE_N"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal("MACHINE_N: ", err)
		}
		long = true
	}
	onBothInstances(t, "SoakSec=1\nProbationSec=1\n", func(n *node) {
		s := newStorm(n, 1)
		const warm = 2 // one-time allocations are over after these recoveries
		var first, last usage
		for round := 1; round <= warm+rounds; round++ {
			s.killAll()
			n.waitSoaked()
			s.check(fmt.Sprintf("recovery %d", round))
			last = n.usage()
			if round == warm {
				first = last
			}
			if long && round%10 == 0 {
				n.t.Logf("after %d recoveries: %s", round, last)
			}
		}
		// A connection may just be closing, or the journal be read. A leak stays.
		for end := time.Now().Add(20 * time.Second); last.leaks(first) && time.Now().Before(end); last = n.usage() {
			time.Sleep(time.Second)
		}
		n.t.Logf("after %d recoveries: %s; after %d more: %s", warm, first, rounds, last)
		for process, before := range first {
			after := last[process]
			if after.files > before.files+spareFiles {
				n.t.Errorf("%s has %d open files, and had %d", process, after.files, before.files)
			}
			if after.rss > before.rss+before.rss/4+2048 {
				n.t.Errorf("%s uses %d KiB, and used %d", process, after.rss, before.rss)
			}
		}
	})
}

// killAll kills the containers that should run and the daemon, and waits for the
// next recovery.
func (s *storm) killAll() {
	s.t.Helper()
	kill := []string{"kill", "-KILL"}
	pids := s.user.MustRun(append([]string{"podman", "inspect", "--format", "{{.State.Pid}}"}, s.run...)...)
	daemon := s.daemonPID()
	s.MustRun(append(append(kill, daemon), strings.Fields(pids)...)...)
	s.waitNextRecovery(daemon)
}

// usage is what each process uses that recovery depends on.
type usage map[string]resources

type resources struct {
	files int // open file descriptors
	rss   int // KiB
}

func (u usage) String() string {
	var words []string
	for _, process := range []string{"daemon", "manager", "bus"} {
		words = append(words, fmt.Sprintf("%s %d files, %.1f MB",
			process, u[process].files, float64(u[process].rss)/1024))
	}
	return strings.Join(words, "; ")
}

// spareFiles is how many connections may be open by chance.
const spareFiles = 2

// leaks reports whether a process has more open files than before.
func (u usage) leaks(before usage) bool {
	for process := range before {
		if u[process].files > before[process].files+spareFiles {
			return true
		}
	}
	return false
}

// usage measures the daemon, the containers' manager and its bus.
func (n *node) usage() usage {
	n.t.Helper()
	manager := "1"
	if n.uid != 0 {
		manager = n.Show(fmt.Sprintf("user@%d.service", n.uid), "MainPID")["MainPID"]
	}
	u := usage{}
	for process, pid := range map[string]string{
		"daemon":  n.daemonPID(),
		"manager": manager,
		"bus":     n.user.Show("dbus.service", "MainPID")["MainPID"],
	} {
		files := strings.Fields(n.MustRun("ls", "/proc/"+pid+"/fd"))
		var rss int
		for line := range strings.Lines(n.MustRun("cat", "/proc/"+pid+"/status")) {
			if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				if _, err := fmt.Sscan(value, &rss); err != nil {
					n.t.Fatalf("%q: %v", line, err)
				}
			}
		}
		u[process] = resources{len(files), rss}
	}
	return u
}

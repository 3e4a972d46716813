package recovery

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestSoak goes through recovery after recovery on one machine that stays on:
// all containers and the daemon are killed, and come back. Neither the daemon
// nor what it talks to, which is the manager of the containers' units and its
// message bus, may take more and more. As it stands it is short; `make soak`
// makes it long.
func TestSoak(t *testing.T) {
	rounds, long := 4, false
	if text := os.Getenv("SOAK_MACHINE_N"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal("MACHINE_N: ", err)
		}
		long = true
	}
	both(t, "SoakSec=1\nProbationSec=1\n", func(n *node) {
		s := newStorm(n, 1)
		const warm = 2 // what is made once is made by then
		var first, last census
		for round := 1; round <= warm+rounds; round++ {
			s.killAll()
			n.soaked()
			s.check(fmt.Sprintf("recovery %d", round))
			last = n.census()
			if round == warm {
				first = last
			}
			if long && round%10 == 0 {
				n.t.Logf("after %d recoveries: %s", round, last)
			}
		}
		n.t.Logf("after %d recoveries: %s; after %d more: %s", warm, first, rounds, last)
		for who, before := range first {
			after := last[who]
			// A connection that is just being closed is no leak: those grow.
			if after.files > before.files+2 {
				n.t.Errorf("%s has %d files open, after %d", who, after.files, before.files)
			}
			if after.rss > before.rss+before.rss/4+2048 {
				n.t.Errorf("%s takes %d KiB, after %d", who, after.rss, before.rss)
			}
		}
	})
}

// killAll kills the containers that should run and the daemon, and waits until
// the next one has recovered.
func (s *storm) killAll() {
	s.t.Helper()
	kill := []string{"kill", "-KILL"}
	pids := s.user.MustRun(append([]string{"podman", "inspect", "--format", "{{.State.Pid}}"}, s.run...)...)
	daemon := s.Show(s.unit(), "MainPID")["MainPID"]
	s.MustRun(append(append(kill, daemon), strings.Fields(pids)...)...)
	s.recovered(daemon)
}

// A census is what the processes take that recovery lives on.
type census map[string]resources

type resources struct {
	files int
	rss   int // KiB
}

func (c census) String() string {
	var words []string
	for _, who := range []string{"daemon", "manager", "bus"} {
		words = append(words, fmt.Sprintf("%s %d files, %.1f MB", who, c[who].files, float64(c[who].rss)/1024))
	}
	return strings.Join(words, "; ")
}

// census looks at the daemon, the containers' manager and its bus.
func (n *node) census() census {
	n.t.Helper()
	manager := "1"
	if n.uid != 0 {
		manager = n.Show(fmt.Sprintf("user@%d.service", n.uid), "MainPID")["MainPID"]
	}
	c := census{}
	for who, pid := range map[string]string{
		"daemon":  n.Show(n.unit(), "MainPID")["MainPID"],
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
		c[who] = resources{len(files), rss}
	}
	return c
}

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A fleet is the containers of one comparison. Each listens on its own socket when
// it is ready. That moment is measured.
type fleet []member

type member struct {
	socket string
	tier   int
	ready  time.Duration // from its start until it is ready
	needs  string        // the socket without which it exits with status 1
	hangs  bool          // it never becomes ready
}

const (
	containers = 30
	tiers      = 5
)

// trivial containers are ready at once.
func trivial() fleet {
	var f fleet
	for i := range containers {
		f = append(f, member{socket: fmt.Sprintf("trivial%02d", i), tier: i % tiers})
	}
	return f
}

// slow containers become ready after a random time between from and to. The times
// are the same in each run.
func slow(name string, from, to time.Duration) fleet {
	random := rand.New(rand.NewPCG(8, 8))
	var f fleet
	for i := range containers {
		ready := from + time.Duration(random.Int64N(int64(to-from))).Round(time.Millisecond)
		f = append(f, member{socket: fmt.Sprintf("%s%02d", name, i), tier: i % tiers, ready: ready})
	}
	return f
}

// chained lets each container of the fleet need one of the tier below.
func chained(f fleet) fleet {
	for i := range f {
		if f[i].tier > 0 {
			f[i].needs = f[i-1].socket
		}
	}
	return f
}

// criticalPath returns the sum of the slowest times of all tiers. No ordered start
// is faster.
func (f fleet) criticalPath() time.Duration {
	var sum time.Duration
	for _, d := range f.slowest() {
		sum += d
	}
	return sum
}

func (f fleet) slowest() [tiers]time.Duration {
	var slowest [tiers]time.Duration
	for _, c := range f {
		slowest[c.tier] = max(slowest[c.tier], c.ready)
	}
	return slowest
}

// sockets returns the sockets of the containers that become ready, in all tiers or
// in one.
func (f fleet) sockets(inTier ...int) (names []string) {
	for _, c := range f {
		if !c.hangs && (len(inTier) == 0 || c.tier == inTier[0]) {
			names = append(names, c.socket)
		}
	}
	return names
}

// crashLog is the file that counts the containers' crashes, as they see it.
const (
	crashDir = "/var/lib/bench-crashes"
	crashLog = "/crashes/log"
)

// flags returns the flags of testapp.
func (c member) flags() []string {
	flags := []string{"-serve", c.socket, "-crashes", crashLog}
	if c.ready > 0 {
		flags = append(flags, "-ready-after", c.ready.String())
	}
	if c.needs != "" {
		flags = append(flags, "-needs", c.needs)
	}
	if c.hangs {
		flags = append(flags, "-never-ready")
	}
	return flags
}

// notifies reports whether the units get Notify=true. Trivial containers do not,
// like most Quadlet containers.
func (f fleet) notifies() bool {
	for _, c := range f {
		if c.ready > 0 || c.hangs {
			return true
		}
	}
	return false
}

// quadlets writes a unit for each container, with the name of its socket. If ordered
// is true, each unit is ordered after all units of the tier below.
func (f fleet) quadlets(m *machine.Machine, ordered bool) {
	for _, c := range f {
		text := ""
		if ordered && c.tier > 0 {
			text = "[Unit]\nAfter=" + strings.Join(f.sockets(c.tier-1), ".service ") + ".service\n"
		}
		text += fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\nVolume=%s:/crashes\nExec=%s\n",
			machine.Image, c.socket, recover.TierLabel, c.tier, crashDir, strings.Join(c.flags(), " "))
		if f.notifies() {
			text += "Notify=true\n"
		}
		text += "[Service]\nTimeoutStartSec=900\n"
		m.WriteFile("/etc/containers/systemd/"+c.socket+".container", text, 0o644, 0)
	}
}

// plain makes the containers without units, with `podman create` or `docker create`
// and these options. Their names are those of the sockets with a prefix.
func (f fleet) plain(m *machine.Shell, engine, prefix string, options ...string) (names []string) {
	for _, c := range f {
		args := append([]string{engine, "create", "--name", prefix + c.socket, "--network=host",
			"--volume", crashDir + ":/crashes", "--label", fmt.Sprintf("%s=%d", recover.TierLabel, c.tier)}, options...)
		args = append(args, machine.Image)
		m.MustRun(append(args, c.flags()...)...)
		names = append(names, prefix+c.socket)
	}
	return names
}

package recovery

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// TestStorm kills what recovery lives on, at random moments of recovery and of
// steady state, and looks after each recovery that all is as it was. As it
// stands it is short; `make storm N=200 SEED=1` makes it long, and writes what
// came of it into docs/faults.md.
func TestStorm(t *testing.T) {
	kills, seed := 8, uint64(1)
	long := os.Getenv("STORM_N") != ""
	if long {
		var err error
		if kills, err = strconv.Atoi(os.Getenv("STORM_N")); err != nil {
			t.Fatal("N: ", err)
		}
		if seed, err = strconv.ParseUint(os.Getenv("STORM_SEED"), 10, 64); err != nil {
			seed = uint64(time.Now().UnixNano()) % 1e6
		}
	}
	both(t, "", func(n *node) {
		s := newStorm(n, seed)
		if long {
			defer s.write() // also where a recovery is waited for in vain
		}
		for s.total() < (kills+1)/2 && !n.t.Failed() {
			s.round()
		}
		n.t.Logf("seed %d: %d kills in %d rounds: %s", seed, s.total(), s.rounds, s.counts())
	})
}

// A storm is one machine under kills. Its containers are of every kind; two of
// them are stopped, and are to stay so.
type storm struct {
	*node
	seed   uint64
	rand   *rand.Rand
	run    []string // who should run
	kills  map[string]int
	rounds int
	broken int
	stuck  int    // how often podman was
	began  string // when this round did
}

func newStorm(n *node, seed uint64) *storm {
	s := &storm{node: n, seed: seed, rand: rand.New(rand.NewPCG(seed, uint64(n.uid))), kills: map[string]int{}}
	// systemd would give up on a daemon that dies five times in five minutes.
	n.WriteFile("/etc/systemd/system/"+n.unit()+".d/storm.conf", "[Unit]\nStartLimitIntervalSec=0\n", 0o644, 0)
	n.Reload()
	for tier, name := range []string{"quick", "slow", "other"} {
		n.quadlet(name, tier, "", "")
		s.run = append(s.run, name)
	}
	n.quadlet("listed", 1, "", "")
	n.user.Systemctl("start", "quick", "slow", "other", "listed")
	n.plain("plain", 1)
	n.generated("gen", 2, false)
	s.run = append(s.run, "plain", "gen")
	n.plain("ended", 1)
	n.enable()
	n.saved(append([]string{"listed", "ended"}, s.run...)...)
	n.cli("user-stopped", "add", "listed")
	n.user.Systemctl("stop", "listed")
	n.user.MustRun("podman", "stop", "--time=1", "ended")
	n.saved(s.run...)
	return s
}

func (s *storm) total() int {
	sum := 0
	for _, n := range s.kills {
		sum += n
	}
	return sum
}

func (s *storm) counts() string {
	var words []string
	for _, what := range slices.Sorted(maps.Keys(s.kills)) {
		words = append(words, fmt.Sprintf("%s %d", what, s.kills[what]))
	}
	return strings.Join(words, ", ")
}

// round kills one thing in steady state, the daemon, something else at a random
// moment of the recovery that follows, and the daemon again: after the recovery
// from that all must be well.
func (s *storm) round() {
	s.rounds++
	steady, during := s.victim(), s.victim()
	moment := time.Duration(s.rand.IntN(2500)) * time.Millisecond
	what := fmt.Sprintf("seed %d, round %d: %s; the daemon, after %s %s; the daemon", s.seed, s.rounds, steady, moment, during)
	s.t.Log(what)
	s.began = fmt.Sprintf("@%d", time.Now().Unix()) // a machine has the clock of its host
	killDuring := s.killer(during)                  // looked for while podman is well
	s.killer(steady)()
	s.pause(time.Duration(s.rand.IntN(800)) * time.Millisecond)
	s.killer("daemon")()
	s.pause(moment)
	killDuring()
	s.recovered("")
	pid := s.Show(s.unit(), "MainPID")["MainPID"]
	s.killer("daemon")()
	s.recovered(pid)
	s.check(what)
}

// pause lets a random time pass: the moment of a kill is what is random here.
func (s *storm) pause(d time.Duration) { time.Sleep(d) }

func (s *storm) victim() string {
	all := []string{"daemon", "conmon", "payload", "podman", "journald", "dbus", "reexec", "reload"}
	if s.uid != 0 {
		all = append(all, "user manager")
	}
	return all[s.rand.IntN(len(all))]
}

// killer prepares a kill. What is gone when its moment comes needs none, and
// what fails to be killed shows in the checks.
func (s *storm) killer(what string) func() {
	kill := func(sh *machine.Shell, args ...string) func() {
		return func() {
			s.kills[what]++
			if _, err := sh.Run(args...); err != nil {
				s.t.Logf("%s: %v", what, err)
			}
		}
	}
	// systemctl of the manager that runs the containers, or of the host's.
	manager := func(sh *machine.Shell, args ...string) func() {
		systemctl := []string{"systemctl"}
		if sh != s.Shell && s.uid != 0 {
			systemctl = append(systemctl, "--user")
		}
		return kill(sh, append(systemctl, args...)...)
	}
	signal := func(sh *machine.Shell, unit string) func() {
		return manager(sh, "kill", "--signal=KILL", unit)
	}
	switch what {
	case "daemon":
		return signal(s.Shell, s.unit())
	case "podman":
		return signal(s.user, "podman.service")
	case "journald":
		return signal(s.Shell, "systemd-journald.service")
	case "dbus":
		return signal(s.user, "dbus.service")
	case "reexec":
		return manager(s.user, "daemon-reexec")
	case "reload":
		return manager(s.user, "daemon-reload")
	case "user manager":
		return kill(s.Shell, "systemctl", "restart", fmt.Sprintf("user@%d.service", s.uid))
	}
	format := "{{.State.ConmonPid}}"
	if what == "payload" {
		format = "{{.State.Pid}}"
	}
	name := s.run[s.rand.IntN(len(s.run))]
	pid := strings.TrimSpace(s.user.MustRun("podman", "inspect", "--format", format, name))
	if pid == "0" {
		s.t.Fatalf("%s has no %s", name, what)
	}
	return kill(s.Shell, "kill", "-KILL", pid)
}

// recovered waits until a daemon other than the one with a PID has recovered.
func (s *storm) recovered(not string) {
	s.t.Helper()
	s.WaitFor(100*time.Second, "the recovery", func() bool {
		s.unstick()
		st, err := s.status()
		return err == nil && st.RecoveryComplete && strconv.Itoa(st.PID) != not &&
			s.Show(s.unit(), "MainPID")["MainPID"] == strconv.Itoa(st.PID)
	})
}

// unstick does what helps where a user's podman fails whatever it is asked, since
// it takes a container for running whose conmon went with the user's manager
// (podman#27604; docs/faults.md). How often that was is counted: it is not ours to mend.
func (s *storm) unstick() {
	const words = "invalid internal status"
	if s.uid == 0 || s.began == "" {
		return
	}
	if _, err := s.Run("journalctl", "--quiet", "--since="+s.began, "--lines=1", "--grep="+words); err != nil {
		return // nothing was found
	}
	if _, err := s.user.Run("podman", "ps"); err == nil || !strings.Contains(err.Error(), words) {
		return
	}
	s.stuck++
	s.t.Log("podman is stuck")
	s.MustRun("systemctl", "restart", fmt.Sprintf("user-runtime-dir@%d.service", s.uid))
}

// check holds what must be true after a recovery.
func (s *storm) check(after string) {
	s.t.Helper()
	wrong := func(format string, args ...any) {
		s.broken++
		s.t.Errorf("after %s: %s", after, fmt.Sprintf(format, args...))
	}
	if got, want := s.running(), slices.Sorted(slices.Values(s.run)); !slices.Equal(got, want) {
		wrong("%q run, want %q", got, want)
	}
	unit := s.Show(s.unit(), "ActiveState", "SubState", "MainPID")
	if unit["ActiveState"] != "active" && unit["SubState"] != "auto-restart" {
		wrong("the daemon is %v", unit)
	}
	marker, err := s.ReadFile(s.data("archipelago.pid"))
	if err != nil || !strings.HasPrefix(marker, fmt.Sprintf("%s\nboot_id=%s\n", unit["MainPID"], s.BootID())) {
		wrong("the marker is %q, %v; the daemon's PID is %s", marker, err, unit["MainPID"])
	}
	s.saved(s.run...)
}

// writing is held by who writes the table: the instances' tests go side by side.
var writing sync.Mutex

const (
	faults     = "../../docs/faults.md"
	stormBegin = "<!-- storm writes from here -->\n"
	stormEnd   = "<!-- storm writes to here -->"
)

// write replaces this instance's row in docs/faults.md.
func (s *storm) write() {
	if s.t.Failed() {
		s.broken = max(s.broken, 1)
	}
	writing.Lock()
	defer writing.Unlock()
	text, err := os.ReadFile(faults)
	before, rest, ok := strings.Cut(string(text), stormBegin)
	table, after, ok2 := strings.Cut(rest, stormEnd)
	if err != nil || !ok || !ok2 {
		s.t.Errorf("%s has no place for the table: %v", faults, err)
		return
	}
	key := fmt.Sprintf("| uid %d | ", s.uid)
	rows := slices.DeleteFunc(strings.SplitAfter(table, "\n"), func(row string) bool { return strings.HasPrefix(row, key) })
	row := fmt.Sprintf("%s%d | %d | %d | %s | %d | %d |\n", key, s.seed, s.rounds, s.total(), s.counts(), s.stuck, s.broken)
	if err := os.WriteFile(faults, []byte(before+stormBegin+strings.Join(rows, "")+row+stormEnd+after), 0o644); err != nil {
		s.t.Error(err)
	}
}

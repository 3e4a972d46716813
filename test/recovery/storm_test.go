package recovery

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// TestStorm kills processes that recovery depends on, at random moments during and
// after recovery. After each recovery it checks the invariants. By default the test
// is short. `make storm N=200 SEED=1` makes it long, and writes the result into
// docs/faults.md.
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
	onBothInstances(t, "", func(n *node) {
		s := newStorm(n, seed)
		if long {
			defer s.write() // also if a wait for a recovery ends the test
		}
		for s.total() < (kills+1)/2 && !n.t.Failed() {
			s.round()
		}
		n.t.Logf("seed %d: %d kills in %d rounds: %s", seed, s.total(), s.rounds, s.counts())
	})
}

// A storm is a series of kills on one machine. The machine has containers of every
// kind. Two of them are stopped, and must stay so.
type storm struct {
	*node
	seed   uint64
	rnd    *rand.Rand
	run    []string       // the containers that must run
	kills  map[string]int // by target
	rounds int
	broken int    // number of broken invariants
	stuck  int    // how often podman was stuck, see unstick
	began  string // the begin of this round, for journalctl --since
}

func newStorm(n *node, seed uint64) *storm {
	s := &storm{node: n, seed: seed, rnd: rand.New(rand.NewPCG(seed, uint64(n.uid))), kills: map[string]int{}}
	// By default systemd gives up after five ends of the daemon in five minutes.
	n.dropIn("storm.conf", "[Unit]\nStartLimitIntervalSec=0\n")
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
	n.waitSaved(append([]string{"listed", "ended"}, s.run...)...)
	n.cli("user-stopped", "add", "listed")
	n.user.Systemctl("stop", "listed")
	n.user.MustRun("podman", "stop", "--time=1", "ended")
	n.waitSaved(s.run...)
	return s
}

func (s *storm) total() int {
	sum := 0
	for _, kills := range s.kills {
		sum += kills
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

// round kills a target after a recovery, and then the daemon. It kills another
// target at a random moment of the recovery that follows, and then the daemon again.
// After the next recovery it checks the invariants.
func (s *storm) round() {
	s.rounds++
	steady, during := s.target(), s.target()
	moment := time.Duration(s.rnd.IntN(2500)) * time.Millisecond
	what := fmt.Sprintf("seed %d, round %d: %s; the daemon, after %s %s; the daemon",
		s.seed, s.rounds, steady, moment, during)
	s.t.Log(what)
	s.began = fmt.Sprintf("@%d", time.Now().Unix()) // the machine's clock is the host's
	killDuring := s.prepareKill(during)             // needs podman to work, so it comes before the kills
	s.prepareKill(steady)()
	time.Sleep(time.Duration(s.rnd.IntN(800)) * time.Millisecond)
	s.prepareKill("daemon")()
	time.Sleep(moment)
	killDuring()
	s.waitNextRecovery("")
	pid := s.daemonPID()
	s.prepareKill("daemon")()
	s.waitNextRecovery(pid)
	s.check(what)
}

// target draws what to kill.
func (s *storm) target() string {
	all := []string{"daemon", "conmon", "payload", "podman", "journald", "dbus", "reexec", "reload"}
	if s.uid != 0 {
		all = append(all, "user manager")
	}
	return all[s.rnd.IntN(len(all))]
}

// prepareKill returns a function that kills the target. A target that has ended by
// then needs no kill. The checks show a kill that failed.
func (s *storm) prepareKill(what string) func() {
	kill := func(sh *machine.Shell, args ...string) func() {
		return func() {
			s.kills[what]++
			if _, err := sh.Run(args...); err != nil {
				s.t.Logf("%s: %v", what, err)
			}
		}
	}
	// This runs systemctl for the shell's manager: the user's or the system's.
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
	name := s.run[s.rnd.IntN(len(s.run))]
	pid := strings.TrimSpace(s.user.MustRun("podman", "inspect", "--format", format, name))
	if pid == "0" {
		s.t.Fatalf("%s has no process for the target %s", name, what)
	}
	return kill(s.Shell, "kill", "-KILL", pid)
}

// waitNextRecovery waits until a daemon with another PID than old has completed its
// recovery.
func (s *storm) waitNextRecovery(old string) {
	s.t.Helper()
	s.WaitFor(100*time.Second, "the recovery", func() bool {
		s.unstick()
		st, err := s.status()
		return err == nil && st.RecoveryComplete && strconv.Itoa(st.PID) != old &&
			s.daemonPID() == strconv.Itoa(st.PID)
	})
}

// unstick repairs a user's podman that fails every command. podman does so if it
// takes a container for running whose conmon ended with the user's manager
// (podman#27604; docs/faults.md). The storm counts these repairs, since only podman
// can fix the cause.
func (s *storm) unstick() {
	const words = "invalid internal status"
	if s.uid == 0 || s.began == "" {
		return
	}
	if _, err := s.Run("journalctl", "--quiet", "--since="+s.began, "--lines=1", "--grep="+words); err != nil {
		return // the journal does not have the words
	}
	if _, err := s.user.Run("podman", "ps"); err == nil || !strings.Contains(err.Error(), words) {
		return
	}
	s.stuck++
	s.t.Log("podman is stuck")
	s.MustRun("systemctl", "restart", fmt.Sprintf("user-runtime-dir@%d.service", s.uid))
}

// check checks the invariants after a recovery.
func (s *storm) check(after string) {
	s.t.Helper()
	wrong := func(format string, args ...any) {
		s.broken++
		s.t.Errorf("after %s: %s", after, fmt.Sprintf(format, args...))
	}
	if got, want := s.running(), slices.Sorted(slices.Values(s.run)); !slices.Equal(got, want) {
		wrong("the running containers are %q, want %q", got, want)
	}
	unit := s.Show(s.unit(), "ActiveState", "SubState", "MainPID")
	if unit["ActiveState"] != "active" && unit["SubState"] != "auto-restart" {
		wrong("the daemon is %v", unit)
	}
	marker, err := s.ReadFile(s.dataFile("archipelago.pid"))
	if err != nil || !strings.HasPrefix(marker, fmt.Sprintf("%s\nboot_id=%s\n", unit["MainPID"], s.BootID())) {
		wrong("the marker is %q, %v; the daemon's PID is %s", marker, err, unit["MainPID"])
	}
	s.waitSaved(s.run...)
}

// stormTable is the place of the results.
var stormTable = artifact.Table{
	File:  "../../docs/faults.md",
	Begin: "<!-- storm writes from here -->\n",
	End:   "<!-- storm writes to here -->",
}

// write replaces this instance's row in docs/faults.md.
func (s *storm) write() {
	if s.t.Failed() {
		s.broken = max(s.broken, 1)
	}
	stormTable.Replace(s.t, fmt.Sprintf("uid %d", s.uid), fmt.Sprintf("%d | %d | %d | %s | %d | %d |",
		s.seed, s.rounds, s.total(), s.counts(), s.stuck, s.broken))
}

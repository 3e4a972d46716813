package power

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/state"
	"archy-recovery/test/vm"
)

// The power fails at random moments, while containers are started and stopped and
// during recoveries. After each recovery, the expected containers must run.
//
// POWER_N is the number of cycles on ext4, and POWER_OTHERS that on each other
// file system. POWER_SEED determines the actions and their moments.
func TestPower(t *testing.T) {
	seed := number(t, "POWER_SEED", int(time.Now().UnixNano()%1e6))
	others := number(t, "POWER_OTHERS", 5)
	for _, c := range []struct {
		fs     vm.FileSystem
		cycles int
	}{
		{vm.Ext4, number(t, "POWER_N", 30)},
		{vm.Ext4Writeback, others},
		{vm.XFS, others},
		{vm.Btrfs, others},
	} {
		t.Run(c.fs.Name, func(t *testing.T) {
			if c.cycles == 0 {
				t.Skip("the number of cycles is 0")
			}
			cutPower(t, c.fs, seed, c.cycles)
		})
	}
}

// A series is a series of power failures on one machine.
type series struct {
	*node
	fleet *fleet
	rnd   *rand.Rand
	tally *tally
}

func cutPower(t *testing.T, fs vm.FileSystem, seed, cycles int) {
	// The defaults: where cuts follow each other, suspects start in groups that are a soak apart.
	n := start(t, vm.Options{FS: fs}, "")
	t.Logf("SEED=%d", seed)
	stream := fnv.New64a() // each file system has its own random numbers
	stream.Write([]byte(fs.Name))
	rnd := rand.New(rand.NewPCG(uint64(seed), stream.Sum64()))
	s := &series{n, newFleet(), rnd, &tally{FS: fs.Name, Seed: seed}}
	s.fleet.create(n)
	n.MustRun("systemctl", "enable", "--now", service)
	for _, name := range s.fleet.names {
		n.waitSaved(name)
	}
	for s.tally.Cycles < cycles && !t.Failed() {
		s.cycle()
		s.tally.write(t)
	}
}

// cycle starts and stops containers, cuts the power, in a quarter of the cycles
// again during the next boot, and checks the recovery.
func (s *series) cycle() {
	s.t.Helper()
	began := time.Now()
	summary := s.churn()
	s.cut()
	for s.rnd.IntN(4) == 0 { // again, before or during the recovery
		after := s.randomTime(30 * time.Second)
		summary += fmt.Sprintf("; cut again %v into the next boot", after.Round(time.Millisecond))
		s.BootNoWait()
		time.Sleep(after)
		s.cut()
		s.tally.InRecovery++
	}
	s.Boot()
	s.checkRecovery()
	s.tally.Cycles++
	s.t.Logf("cycle %d (%v): %s", s.tally.Cycles, time.Since(began).Round(time.Second), summary)
}

// randomTime draws a time below the limit.
func (s *series) randomTime(limit time.Duration) time.Duration {
	return time.Duration(s.rnd.Int64N(int64(limit)))
}

// churn starts and stops containers. Then it waits for a random time, or cuts the
// power in the middle of the last action. It returns a summary for the log.
func (s *series) churn() string {
	s.t.Helper()
	var summary []string
	for range 1 + s.rnd.IntN(4) {
		a := s.fleet.pick(s.rnd)
		s.fleet.actions = append(s.fleet.actions, a)
		summary = append(summary, a.String())
		if err := s.fleet.do(s.node, a); err != nil {
			s.t.Errorf("%s: %v", a, err)
		}
	}
	wait := s.randomTime(2 * saveTime)
	if s.rnd.IntN(2) == 0 {
		time.Sleep(wait)
		return strings.Join(summary, ", ") + fmt.Sprintf("; cut %v later", wait.Round(time.Millisecond))
	}
	// The power fails while the command may still run.
	wait = s.randomTime(3 * time.Second)
	a := s.fleet.pick(s.rnd)
	s.fleet.actions = append(s.fleet.actions, a)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.fleet.do(s.node, a) // most are cut
	}()
	time.Sleep(wait)
	at := time.Now()
	s.PullPlug()
	<-ended
	s.examine(at)
	if a.done.IsZero() {
		s.tally.InCommand++
	}
	return strings.Join(summary, ", ") + fmt.Sprintf("; cut %v into %s", wait.Round(time.Millisecond), a)
}

// cut cuts the power, unless churn did that already, and examines the disk.
func (s *series) cut() {
	s.t.Helper()
	if s.IsOn() {
		at := time.Now()
		s.PullPlug()
		s.examine(at)
	}
}

// examine checks the disk after a cut at this moment: the file system and the
// files of the data directory. It computes the expectations for the recovery.
func (s *series) examine(at time.Time) {
	s.t.Helper()
	s.tally.Cuts++
	copied, damage := s.Examine(dataDir)
	if damage != nil {
		s.t.Errorf("the file system is damaged: %v", damage)
	} else {
		s.tally.FSClean++
	}
	if aside, _ := filepath.Glob(filepath.Join(copied, "*.corrupt-*")); len(aside) > 0 {
		s.t.Errorf("damaged files were set aside: %q", aside)
	}
	whole := true
	dir, err := state.Open(copied, func(text, file string, err error) {
		whole = false
		s.t.Errorf("%s: %s: %v", file, text, err)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer dir.Close()
	marker := dir.Marker()
	set, setErr := dir.Snapshot()
	stopped, stoppedErr := dir.UserStopped()
	_, flightErr := dir.InFlight()
	_, quarantineErr := dir.Quarantine()
	for _, err := range []error{setErr, stoppedErr, flightErr, quarantineErr} {
		if err != nil {
			whole = false
			s.t.Error(err)
		}
	}
	if marker == nil || marker.Garbled || marker.BootID == "" {
		whole = false
		s.t.Errorf("the marker is %+v", marker)
	}
	if whole {
		s.tally.FilesWhole++
	}
	for name, banned := range s.fleet.banned {
		if banned && !slices.Contains(stopped, name) {
			s.t.Errorf("%s was added to the user-stopped list, and the list is %q", name, stopped)
		}
	}
	for _, name := range s.fleet.names {
		s.fleet.banned[name] = slices.Contains(stopped, name) // the effect of a cut command is known now
	}
	var names []string
	for _, c := range set.Containers {
		names = append(names, c.Name)
	}
	s.fleet.expectAfterCut(at, names)
	s.fleet.actions = nil
}

// checkRecovery waits for the recovery, and compares the verdict and the running
// containers with the expectations.
func (s *series) checkRecovery() {
	s.t.Helper()
	v := s.waitVerdict()
	want := recover.CausePowerLoss
	if v.Previous != nil && s.MustRun("journalctl", "--quiet", "--lines=1", "--output=json",
		"_BOOT_ID="+v.Previous.BootID) == "" {
		want = recover.CauseUnknown // no entry of that boot had reached the disk
		s.tally.NoJournal++
	}
	if v.Ending != recover.HostCrashed || v.Cause != want {
		s.t.Errorf("the verdict is %s, cause %s (%s), want cause %s", v.Ending, v.Cause, v.Reason, want)
	} else if want == recover.CausePowerLoss {
		s.tally.PowerLoss++
	}
	st := s.waitRecovered()
	running := s.running()
	for _, name := range s.fleet.names {
		suspect, _ := st.Quarantine.Find(name)
		want := s.fleet.expect[name]
		switch {
		case suspect.Quarantined:
			// At two cuts it alone was in flight.
			s.tally.Quarantined++
			s.MustRun("archy-recovery", "--system", "quarantine", "release", name)
		case want == mustRun && !running[name]:
			s.tally.Lost++
			s.t.Errorf("%s must run, and does not", name)
		case want == mustNot && running[name]:
			s.tally.Started++
			s.t.Errorf("%s must not run, and runs", name)
		default:
			s.tally.count(want)
		}
	}
	if s.t.Failed() {
		s.t.Logf("expected %v\nrunning %v\nstatus %+v\n%s", s.fleet.expect, running, st, s.log())
	}
	s.fleet.expectAsRunning(running)
}

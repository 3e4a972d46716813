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

// The power fails at random moments, while containers come and go and while
// they are brought back, and each time what ran runs again.
//
// POWER_N is the number of power failures on ext4, POWER_OTHERS that on each of
// the other file systems; POWER_SEED decides what happens when.
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
				t.Skip("no cycles asked for")
			}
			power(t, c.fs, seed, c.cycles)
		})
	}
}

// A storm is a series of power failures on one machine.
type storm struct {
	*node
	fleet *fleet
	rnd   *rand.Rand
	tally *tally
}

func power(t *testing.T, fs vm.FileSystem, seed, cycles int) {
	// Suspects are started one after another, each a probation later: that is
	// tested elsewhere, and would be all that a cycle does.
	n := start(t, vm.Options{FS: fs}, "SoakSec=2\nProbationSec=1\n")
	t.Logf("SEED=%d", seed)
	stream := fnv.New64a() // of its own for each file system
	stream.Write([]byte(fs.Name))
	s := &storm{n, newFleet(), rand.New(rand.NewPCG(uint64(seed), stream.Sum64())), &tally{FS: fs.Name, Seed: seed}}
	s.fleet.set(n)
	n.MustRun("systemctl", "enable", "--now", service)
	for _, name := range s.fleet.names {
		n.saved(name)
	}
	for s.tally.Cycles < cycles && !t.Failed() {
		s.cycle()
		s.tally.write(t)
	}
}

// cycle lets containers come and go, cuts the power, maybe once more while they
// are brought back, and looks.
func (s *storm) cycle() {
	s.t.Helper()
	began := time.Now()
	story := s.churn()
	s.cut()
	for s.rnd.IntN(4) == 0 { // and again, before or while they are brought back
		after := s.within(30 * time.Second)
		story += fmt.Sprintf("; cut again %v into the next boot", after.Round(time.Millisecond))
		s.BootNoWait()
		time.Sleep(after)
		s.cut()
		s.tally.InRecovery++
	}
	s.Boot()
	s.look()
	s.tally.Cycles++
	s.t.Logf("cycle %d (%v): %s", s.tally.Cycles, time.Since(began).Round(time.Second), story)
}

// within draws a time.
func (s *storm) within(limit time.Duration) time.Duration {
	return time.Duration(s.rnd.Int64N(int64(limit)))
}

// churn starts and stops containers, and cuts the power at a random moment
// after, or in the middle of, the last of these.
func (s *storm) churn() string {
	s.t.Helper()
	var story []string
	for range 1 + s.rnd.IntN(4) {
		a := s.fleet.pick(s.rnd)
		s.fleet.acts = append(s.fleet.acts, a)
		story = append(story, a.String())
		if err := s.fleet.do(s.node, a); err != nil {
			s.t.Errorf("%s: %v", a, err)
		}
	}
	wait := s.within(2 * grace)
	if s.rnd.IntN(2) == 0 {
		time.Sleep(wait)
		return strings.Join(story, ", ") + fmt.Sprintf("; cut %v later", wait.Round(time.Millisecond))
	}
	// The power fails while a command may still run.
	wait = s.within(3 * time.Second)
	a := s.fleet.pick(s.rnd)
	s.fleet.acts = append(s.fleet.acts, a)
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
	return strings.Join(story, ", ") + fmt.Sprintf("; cut %v into %s", wait.Round(time.Millisecond), a)
}

// cut pulls the plug, unless that was done already, and looks at the disk.
func (s *storm) cut() {
	s.t.Helper()
	if s.IsOn() {
		at := time.Now()
		s.PullPlug()
		s.examine(at)
	}
}

// examine looks at the disk of the machine without power: at the state's
// files, and for damage of the file system.
func (s *storm) examine(at time.Time) {
	s.t.Helper()
	s.tally.Cuts++
	copied, damage := s.Examine(data)
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
			s.t.Errorf("%s was put on the user-stopped list, which is %q now", name, stopped)
		}
	}
	for _, name := range s.fleet.names {
		s.fleet.banned[name] = slices.Contains(stopped, name) // what was cut is certain now
	}
	var names []string
	for _, c := range set.Containers {
		names = append(names, c.Name)
	}
	s.fleet.cut(at, names)
	s.fleet.acts = nil
}

// look waits for the recovery and compares.
func (s *storm) look() {
	s.t.Helper()
	v := s.verdict()
	want := recover.CausePowerLoss
	if v.Previous != nil && s.MustRun("journalctl", "--quiet", "--lines=1", "--output=json", "_BOOT_ID="+v.Previous.BootID) == "" {
		want = recover.CauseUnknown // nothing of its journal had reached the disk
		s.tally.NoJournal++
	}
	if v.Ending != recover.HostCrashed || v.Cause != want {
		s.t.Errorf("the verdict is %s, cause %s (%s), want cause %s", v.Ending, v.Cause, v.Reason, want)
	} else if want == recover.CausePowerLoss {
		s.tally.PowerLoss++
	}
	st := s.wait()
	running := s.running()
	for _, name := range s.fleet.names {
		suspect, _ := st.Quarantine.Find(name)
		want := s.fleet.expect[name]
		switch {
		case suspect.Quarantined:
			// Twice it was the only one in flight when the power failed.
			s.tally.Quarantined++
			s.MustRun("archy-recovery", "--system", "quarantine", "release", name)
		case want == mustRun && !running[name]:
			s.tally.Lost++
			s.t.Errorf("%s should run and does not", name)
		case want == mustNot && running[name]:
			s.tally.Started++
			s.t.Errorf("%s was stopped and runs", name)
		default:
			s.tally.count(want)
		}
	}
	if s.t.Failed() {
		s.t.Logf("expected %v\nrunning %v\nstatus %+v\n%s", s.fleet.expect, running, st, s.log())
	}
	s.fleet.looked(running)
}

package daemon

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"

	"pgregory.net/rapid"
)

// Whatever has happened to a host, in whatever order: the next normal boot that nothing
// disturbs starts each container that should run, and none that was stopped.
//
// By default they are always the same few. A longer run: make histories N=100000 SEED=7.
func TestHistories(t *testing.T) {
	const fixed = 7
	seed, checks := flag.Lookup("rapid.seed").Value, flag.Lookup("rapid.checks")
	if seed.String() == "0" {
		chosen := strconv.Itoa(fixed)
		if checks.Value.String() != checks.DefValue || os.Getenv("RAPID_CHECKS") != "" {
			chosen = strconv.FormatInt(time.Now().UnixNano(), 10)
		}
		if err := seed.Set(chosen); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = seed.Set("0") }()
	}
	t.Logf("%s histories, seed %s", checks.Value, seed)
	began := time.Now()
	rapid.Check(t, func(rt *rapid.T) {
		history := drawHistory(rt)
		if wrong := history.play(t); len(wrong) > 0 {
			rt.Errorf("%s\n%s", history, strings.Join(wrong, "\n"))
		}
	})
	t.Logf("took %s", time.Since(began).Round(time.Second))
}

// A written history is what happens to a host, step by step.
type writtenHistory struct {
	restore bool // CleanBoot=restore
	steps   []step
}

// A step is one thing that happens, and how much time passes after it.
type step struct {
	what, to string // a container, or how the host boots next
	then     pause
}

// A pause is the time until the next step.
type pause string

const (
	atOnce  pause = "at once"
	shortly pause = "soon"       // recovery goes on
	settled pause = "much later" // recovery is complete, and each look was taken
)

func (h writtenHistory) String() string {
	text := "CleanBoot=list"
	if h.restore {
		text = "CleanBoot=restore"
	}
	for _, s := range h.steps {
		text += fmt.Sprintf("\n%s %s, %s:", s.what, s.to, s.then)
	}
	return text
}

// pastNames are the containers: q have units, p have none. Those with a 1 are of the
// first tier.
var pastNames = []string{"p1", "p2", "q1", "q2"}

// onCleanBoot is on the clean-boot list.
const onCleanBoot = "q2"

// stepKinds lists each kind of step, and on what.
var stepKinds = []struct {
	what  string
	on    []string
	often int
}{
	{"start", pastNames, 6},
	{"stop", pastNames, 4},
	{"fail", pastNames, 2},
	{"add to the list", pastNames, 1},
	{"take off the list", pastNames, 1},
	{"lose the list", nil, 1},
	{"repair the list", []string{"as it was", "empty"}, 2},
	{"podman goes", nil, 1},
	{"podman comes", nil, 2},
	{"kill the daemon", nil, 1},
	{"restart the daemon", nil, 2},
	{"upgrade, and meanwhile stop", pastNames, 1},
	{"kill the daemon, and meanwhile stop", pastNames, 1},
	{"crash", bootModes, 4},
	{"reboot", bootModes, 2},
	{"reboot, containers first", bootModes, 1},
	{"soft-reboot", bootModes, 1},
	{"soft-reboot without the daemon", bootModes, 1},
	{"isolate rescue, and back", nil, 1},
	{"the disk comes", nil, 1},
	{"nothing", nil, 2},
}

// bootModes are how a host boots.
var bootModes = []string{"normally", "off", "normally", "safe", withoutDisk}

// withoutDisk is a boot in which podman's storage is not mounted at first.
const withoutDisk = "without the disk"

func drawHistory(rt *rapid.T) writtenHistory {
	var kinds []int
	for i, k := range stepKinds {
		for range k.often {
			kinds = append(kinds, i)
		}
	}
	h := writtenHistory{restore: rapid.IntRange(0, 3).Draw(rt, "CleanBoot=restore") == 3}
	for range rapid.IntRange(1, 14).Draw(rt, "steps") {
		kind := stepKinds[rapid.SampledFrom(kinds).Draw(rt, "what")]
		s := step{what: kind.what, then: rapid.SampledFrom([]pause{settled, atOnce, shortly}).Draw(rt, "then")}
		if kind.on != nil {
			s.to = rapid.SampledFrom(kind.on).Draw(rt, "to")
		}
		h.steps = append(h.steps, s)
	}
	last := rapid.SampledFrom([]string{"crash", "reboot"}).Draw(rt, "in the end")
	h.steps = append(h.steps, step{what: "mend all", then: atOnce}, step{last, "normally", settled})
	return h
}

// play makes the history happen, and returns what went wrong.
func (h writtenHistory) play(t *testing.T) (wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		p := newPast(t, h.restore)
		p.begin("normally")
		p.pass(settled)
		for _, s := range h.steps {
			p.step(s)
			p.pass(s.then)
		}
		for _, name := range pastNames {
			switch runs := p.runs(name); {
			case p.want[name] == must && !runs:
				p.complain("%s should run, and does not", name)
			case p.want[name] == mustNot && runs:
				p.complain("%s was stopped, and runs", name)
			}
		}
		for _, row := range p.rows() {
			p.tell("%s is %s %s", row.Name, row.State, row.Error)
		}
		p.kill()
		if len(p.wrong) > 0 {
			wrong = slices.Concat(p.wrong, p.told)
		}
	})
	return wrong
}

// step has one thing happen.
func (p *past) step(s step) {
	switch s.what {
	case "start":
		p.userStarts(s.to)
	case "stop":
		p.userStops(s.to)
	case "fail":
		p.fails(s.to)
	case "add to the list", "take off the list":
		p.edit(s.to, s.what == "add to the list")
	case "lose the list":
		p.host.Set(func() { p.host.UserStoppedErr = recover.ErrLost })
	case "repair the list":
		p.repair(s.to == "empty")
	case "podman goes", "podman comes":
		p.podmanComes(s.what == "podman comes")
	case "kill the daemon":
		p.kill()
		p.begin(p.mode)
	case "kill the daemon, and meanwhile stop":
		p.kill()
		p.userStops(s.to)
		p.begin(p.mode)
	case "restart the daemon":
		p.stop()
		p.begin(p.mode)
	case "upgrade, and meanwhile stop":
		p.stop()
		p.userStops(s.to)
		p.begin(p.mode)
	case "crash":
		p.crash(s.to)
	case "reboot", "reboot, containers first":
		p.reboot(s.to, s.what == "reboot, containers first", false)
	case "soft-reboot":
		p.reboot(s.to, false, true)
	case "soft-reboot without the daemon":
		p.kill()
		p.say("shutdown")
		p.goDown()
		p.soft++
		p.say("host-up")
		p.bootAgain()
		p.recoveryIsDue(false)
		p.begin(s.to)
	case "isolate rescue, and back":
		p.isolate()
	case "the disk comes":
		p.diskComes()
	case "mend all":
		p.diskComes()
		p.repair(false)
		p.podmanComes(true)
	}
}

// wish is what the operator expects of a container at the next normal boot.
type wish int

const (
	may     wish = iota // nothing
	must                // that it runs
	mustNot             // that it does not
)

// wishes are what the operator expects of each container.
func wishes(w wish) map[string]wish {
	all := map[string]wish{}
	for _, name := range pastNames {
		all[name] = w
	}
	return all
}

// pass lets time pass.
func (p *past) pass(then pause) {
	switch then {
	case atOnce: // only what needs no time is done
	case shortly:
		time.Sleep(700 * time.Millisecond) // of the bubble's time; a start takes a second
	case settled:
		time.Sleep(20 * time.Minute)
	}
	synctest.Wait()
	if then == settled {
		_, _ = p.service.TakeSnapshot(p.t.Context()) // the timer does so every two minutes
	}
	p.noteRunning()
	if then == settled {
		p.noteSeen()
	}
}

func (p *past) complain(format string, args ...any) {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *past) tell(format string, args ...any) {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.told = append(p.told, fmt.Sprintf("  %s/%d ", p.bootID(), p.soft)+fmt.Sprintf(format, args...))
}

func (p *past) rows() []recover.Row {
	status, _ := p.service.Status()
	return slices.Clone(status.Recovery.Rows)
}

// listed are the names on the user-stopped list, whether that can be read or not.
func (p *past) listed() map[string]bool {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	return maps.Collect(func(yield func(string, bool) bool) {
		for _, name := range p.host.UserStopped {
			if !yield(name, true) {
				return
			}
		}
	})
}

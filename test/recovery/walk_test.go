package recovery

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestWalk takes a machine through random crashes, reboots, restarts and lost files. After
// each recovery that nothing disturbs, each container that should run does, and none that
// was stopped. internal/daemon plays many more of these on a simulated host
// (TestHistories). By default the walk is short; `make soak` makes it long.
func TestWalk(t *testing.T) {
	steps, seed := 3, uint64(1)
	if text := os.Getenv("SOAK_WALK_N"); text != "" {
		var err error
		if steps, err = strconv.Atoi(text); err != nil {
			t.Fatal("WALK_N: ", err)
		}
		if seed, err = strconv.ParseUint(os.Getenv("SOAK_SEED"), 10, 64); err != nil {
			seed = uint64(time.Now().UnixNano()) % 1e6
		}
	}
	onBothInstances(t, "SoakSec=1\nProbationSec=1\nRetryPauseSec=1\nCleanBootList=listed\n", func(n *node) {
		n.t.Logf("seed %d, %d steps", seed, steps)
		w := newWalk(n, seed)
		for i := range steps {
			kind := walkSteps[w.rnd.IntN(len(walkSteps))]
			n.t.Logf("step %d: %s", i+1, kind.what)
			kind.do(w)
			n.MustRun("journalctl", "--sync")
			w.seeRunning()
		}
		w.mend()
		if w.rnd.IntN(2) == 0 {
			w.cut("")
		} else {
			w.reboot("")
		}
		w.check()
	})
}

// `systemctl isolate` to a target without services ends containers and daemon. Back again,
// the containers run. A reboot after that is a clean one.
func TestAnotherTarget(t *testing.T) {
	onBothInstances(t, "SoakSec=1\nCleanBootList=listed\n", func(n *node) {
		w := newWalk(n, 1)
		w.isolate()
		w.check()
		w.seeRunning()
		n.waitSaved(walkers...)
		w.isolateBriefly()
		w.check()
		w.seeRunning()
		w.reboot("")
		w.check()
	})
}

// archy.recovery=off starts nothing. The set outlives the reboots in order out of it.
func TestOffAndReboot(t *testing.T) {
	onBothInstances(t, "SoakSec=1\nCleanBootList=listed\n", func(n *node) {
		w := newWalk(n, 1)
		w.cut("off")
		n.wantRunning()
		w.reboot("off")
		n.wantRunning()
		w.reboot("")
		w.check()
	})
}

// A walk is a machine to which things happen, and what its operator wants.
type walk struct {
	*node
	rnd *rand.Rand
	// want says of a container whether it should run after the next undisturbed boot. One
	// that is not in it may do so.
	want map[string]bool
	// due are the containers that recovery has yet to start. clean: after a clean stop.
	due   map[string]bool
	clean bool
}

// walkers are the containers of a walk. listed is on the clean-boot list; plain has no unit.
var walkers = []string{"quick", "listed", "plain"}

// walkSteps are what can happen. A soft-reboot is not among them: the machine would lose the
// mount of its containers' store.
var walkSteps = []struct {
	what string
	do   func(*walk)
}{
	{"start one", func(w *walk) { w.start(w.draw()) }},
	{"stop one", func(w *walk) { w.stop(w.draw()) }},
	{"stop one, and cut the power at once", func(w *walk) { w.stop(w.draw()); w.cut("") }},
	{"kill the daemon", (*walk).crashDaemon},
	{"restart the daemon", (*walk).restart},
	{"cut the power", func(w *walk) { w.cut("") }},
	{"cut the power, boot with off", func(w *walk) { w.cut("off") }},
	{"cut the power, and again before READY", (*walk).cutTwice},
	{"reboot", func(w *walk) { w.reboot("") }},
	{"reboot with off", func(w *walk) { w.reboot("off") }},
	{"cut the power, and lose the list", func(w *walk) { w.loseList(); w.cut("") }},
	{"write the list, and restart", func(w *walk) { w.writeList(); w.restart() }},
	{"podman goes", func(w *walk) { w.user.Systemctl("mask", "--now", "podman.socket", "podman.service") }},
	{"podman comes", (*walk).podmanComes},
	{"another target, and back", (*walk).isolate},
	{"another target, and back at once", (*walk).isolateBriefly},
}

func newWalk(n *node, seed uint64) *walk {
	w := &walk{node: n, rnd: rand.New(rand.NewPCG(seed, uint64(n.uid))), want: map[string]bool{}, due: map[string]bool{}}
	// nspawn has the kernel command line of the host.
	n.WriteFile("/var/lib/cmdline", "quiet\n", 0o644, 0)
	n.dropIn("walk.conf", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nBindReadOnlyPaths=/var/lib/cmdline:/proc/cmdline\n")
	n.WriteFile("/etc/systemd/system/quiet.target",
		"[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nAllowIsolate=yes\n", 0o644, 0)
	n.quadlet("quick", 0, "", "")
	n.quadlet("listed", 1, "", "")
	n.user.Reload()
	n.Reload()
	n.user.Systemctl("start", "quick", "listed")
	n.plain("plain", 2)
	n.enable()
	for _, name := range walkers {
		w.want[name] = true
	}
	n.waitSaved(walkers...)
	n.waitSoaked()
	n.cli("snapshot", "--quiet")
	return w
}

func (w *walk) draw() string { return walkers[w.rnd.IntN(len(walkers))] }

func (w *walk) start(name string) {
	if slices.Contains(w.running(), name) {
		return
	}
	if name == "plain" {
		w.user.MustRun("podman", "start", name)
	} else {
		w.user.Systemctl("start", name)
	}
	w.want[name] = true
}

func (w *walk) stop(name string) {
	if !slices.Contains(w.running(), name) {
		return
	}
	if name == "plain" {
		w.user.MustRun("podman", "stop", "--time=1", name)
	} else {
		w.user.Systemctl("stop", name)
	}
	w.MustRun("journalctl", "--sync")
	w.want[name] = false
	delete(w.due, name)
}

// seeRunning takes from due what runs.
func (w *walk) seeRunning() {
	for _, name := range w.running() {
		delete(w.due, name)
	}
}

func (w *walk) crashDaemon() {
	w.killDaemonAndWait()
	w.waitRecovered()
}

func (w *walk) restart() {
	w.MustRun("systemctl", "restart", w.unit())
	w.waitRecovered()
}

// boot boots the machine, with archy.recovery=off if mode says so.
func (w *walk) boot(mode string) {
	w.off(mode)
	w.Boot()
	w.waitRecovered()
}

// off changes the kernel command line of the next boot.
func (w *walk) off(mode string) {
	line := "quiet\n"
	if mode != "" {
		line = "quiet archy.recovery=" + mode + "\n"
	}
	w.WriteFile("/var/lib/cmdline", line, 0o644, 0)
}

// unsuspect forgets what was in flight: a cut of this test is no container's fault.
func (w *walk) unsuspect() {
	w.Remove(w.dataFile("in-flight.json"))
	w.Remove(w.dataFile("quarantine.json"))
	w.Remove(w.dataFile("quarantine.json.previous"))
}

func (w *walk) cut(mode string) {
	w.PullPlug()
	w.unsuspect()
	w.allDue()
	w.boot(mode)
}

// cutTwice cuts the power, and again while the next boot recovers.
func (w *walk) cutTwice() {
	w.PullPlug()
	w.unsuspect()
	w.off("")
	w.BootNoWait()
	w.WaitFor(30*time.Second, "the daemon", func() bool { return w.daemonPID() != "0" })
	w.cut("")
}

func (w *walk) reboot(mode string) {
	w.seeRunning()
	w.PowerOff()
	w.afterCleanStop()
	w.boot(mode)
}

func (w *walk) isolate() {
	w.allDue()
	w.MustRun("systemctl", "isolate", "quiet.target")
	w.comeBack()
}

// isolateBriefly is isolate, but the host comes back while it still stops what ran.
func (w *walk) isolateBriefly() {
	w.allDue()
	w.MustRun("systemctl", "isolate", "--no-block", "quiet.target")
	w.comeBack()
}

// comeBack goes on to multi-user.target from another one.
func (w *walk) comeBack() {
	w.MustRun("systemctl", "isolate", "multi-user.target")
	w.WaitFor(60*time.Second, "the user's manager", func() bool {
		_, err := w.user.Run("podman", "ps")
		return err == nil
	})
	w.waitRecovered()
}

// allDue: the next recovery has to start all that should run.
func (w *walk) allDue() {
	clear(w.due)
	for name, should := range w.want {
		if should {
			w.due[name] = true
		}
	}
	w.clean = false
}

// afterCleanStop changes what should run: only the clean-boot list, unless recovery still
// owes something.
func (w *walk) afterCleanStop() {
	if len(w.due) == 1 {
		delete(w.due, "listed") // each boot starts it
	}
	if len(w.due) > 0 && !w.clean {
		w.allDue()
		return
	}
	for _, name := range walkers {
		w.want[name] = false
	}
	if len(w.due) > 0 {
		clear(w.want)
	}
	w.want["listed"] = true
	w.allDue()
	w.clean = true
}

// loseList damages each generation of the user-stopped list.
func (w *walk) loseList() {
	for _, file := range []string{"user-stopped.json", "user-stopped.json.previous"} {
		w.WriteFile(w.dataFile(file), "[\"a", 0o644, w.uid)
	}
}

// writeList follows the advice for a lost list.
func (w *walk) writeList() { w.WriteFile(w.dataFile("user-stopped.json"), "[]\n", 0o644, w.uid) }

func (w *walk) podmanComes() {
	w.user.Systemctl("unmask", "podman.socket", "podman.service")
	w.user.Systemctl("start", "podman.socket")
}

// mend undoes all that disturbs recovery.
func (w *walk) mend() {
	w.podmanComes()
	w.writeList()
}

// check compares what runs with what should.
func (w *walk) check() {
	w.t.Helper()
	running := w.running()
	for name, should := range w.want {
		if slices.Contains(running, name) != should {
			w.t.Errorf("%s should run: %v; the running containers are %q", name, should, running)
		}
	}
	if w.t.Failed() {
		marker, _ := w.ReadFile(w.dataFile("archipelago.pid"))
		set, _ := w.ReadFile(w.dataFile("running-containers.json"))
		w.t.Log(strings.Join([]string{fmt.Sprint(w.want, w.due), marker, set, w.cli("status")}, "\n"))
	}
}

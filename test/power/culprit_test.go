package power

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
	"archy-recovery/test/vm"
)

// evilUnit is a privileged container with the host's programs, which runs what it finds in its
// directory.
const evilUnit = "[Container]\nImage=" + machine.Image + "\nContainerName=evil\n" +
	"PodmanArgs=--privileged --entrypoint=/usr/bin/sh\n" +
	"Volume=/usr:/usr:ro\nVolume=/usr/lib:/lib:ro\nVolume=/usr/lib64:/lib64:ro\nVolume=/var/tmp/evil:/evil:ro\n" +
	"Exec=/evil/run\n"

// A container that takes the host down at each of its starts, and not by power loss, is found
// after two further crashes at most, with the service's own defaults. The others run then, and
// none of them is in quarantine.
func TestCulprit(t *testing.T) {
	n := start(t, vm.Options{FS: vm.Ext4, Memory: 1024, Limit: 10 * time.Minute}, "")
	n.WriteFile("/etc/modules-load.d/softdog.conf", "softdog\n", 0o644)
	n.WriteFile("/etc/modprobe.d/softdog.conf", "options softdog soft_margin=2 soft_panic=1\n", 0o644)
	n.MustRun("modprobe", "softdog")
	all := []string{"sql", "web", "evil"}
	others := all[:2]
	for _, name := range others {
		n.quadlet(name)
	}
	n.WriteFile("/etc/containers/systemd/evil.container", evilUnit, 0o644)
	n.setTrap("")
	n.MustRun("systemctl", "daemon-reload")
	for _, name := range all { // one by one: an emulated machine is slow
		n.MustRun("systemctl", "start", name)
	}
	n.MustRun("systemctl", "enable", "--now", service)
	for _, name := range all {
		n.waitSaved(name)
	}
	for _, c := range []struct {
		name, trap string
		cause      recover.Cause
		named      bool // by the kernel, at one of the crashes at least
	}{
		{"kernel_panic", "echo c >/proc/sysrq-trigger", recover.CausePanic, false},
		// softdog fires when it is not fed after it was opened.
		{"watchdog", ": >/dev/watchdog", recover.CauseWatchdog, false},
		// The kernel kills the largest process, and says whose it was. Then the host does not recover:
		// here it is reset, when the journal has written that. An emulated machine takes five minutes
		// to run out of memory, so sysrq calls the killer.
		{"out_of_memory", "(head -c 150000000 /dev/zero; sleep 60) | tail >/dev/null & sleep 5; " +
			"echo f >/proc/sysrq-trigger; sleep 3; echo s >/proc/sysrq-trigger; sleep 3; echo b >/proc/sysrq-trigger",
			recover.CauseOOM, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{n.VM, t}
			n.waitSoaked()
			n.setTrap(c.trap)
			n.PullPlug()
			n.BootNoWait()
			began := time.Now()
			crashes, st := n.untilQuarantined("evil")
			t.Logf("%d crashes in %s", crashes, time.Since(began).Round(time.Second))
			if crashes < 2 || crashes > 3 {
				t.Errorf("it was quarantined after %d further crashes, want 1 or 2", crashes-1)
			}
			for _, name := range others {
				if stateOf(st, name) != recover.RowUp || !n.running()[name] {
					t.Errorf("%s is %s, and runs: %v", name, stateOf(st, name), n.running()[name])
				}
			}
			n.wantCulprit(c.cause, c.named)

			n.setTrap("")
			n.MustRun("archy-recovery", "--system", "quarantine", "release", "evil")
			n.MustRun("systemctl", "start", "evil")
			n.waitSaved("evil")
		})
	}
}

// setTrap writes what the container evil does when it starts.
func (n *node) setTrap(does string) {
	n.t.Helper()
	n.MustRun("mkdir", "-p", "/var/tmp/evil")
	n.WriteFile("/var/tmp/evil/run", does+"\nexec sleep infinity\n", 0o644)
	n.MustRun("sync")
}

// untilQuarantined waits through crashes of the machine, and counts them, until recovery is
// complete without the container.
func (n *node) untilQuarantined(name string) (crashes int, st control.Status) {
	n.t.Helper()
	for {
		boot, crashed := n.BootID(), false
		n.WaitFor(15*time.Minute, "recovery without "+name+", or a crash of the machine", func() bool {
			crashed = n.BootID() != boot
			out, err := n.Run("archy-recovery", "--system", "status", "--json") // fails early in the boot
			return crashed || err == nil && json.Unmarshal([]byte(out), &st) == nil && st.RecoveryComplete &&
				stateOf(st, name) == recover.RowQuarantined
		})
		if !crashed {
			return crashes, st
		}
		if crashes++; crashes > 5 {
			n.t.Fatalf("the machine crashed %d times, and %s is not in quarantine", crashes, name)
		}
		n.t.Logf("crash %d", crashes)
	}
}

// stateOf is the state of a container's row, empty without one.
func stateOf(st control.Status, name string) recover.RowState {
	i := slices.IndexFunc(st.Containers, func(r recover.Row) bool { return r.Name == name })
	if i < 0 {
		return ""
	}
	return st.Containers[i].State
}

// wantCulprit checks what quarantine list says: evil is in quarantine and no other one, on
// the evidence of such crashes.
func (n *node) wantCulprit(cause recover.Cause, named bool) {
	n.t.Helper()
	var q control.Quarantine
	text := n.MustRun("archy-recovery", "--system", "quarantine", "list", "--json")
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		n.t.Fatal(err)
	}
	evil, _ := q.Suspects.Find("evil")
	if len(q.Suspects.Held()) != 1 || !evil.Quarantined || !evil.Evidence || evil.Named != named {
		n.t.Errorf("suspects are %+v", q.Suspects)
	}
	if len(q.Crashes) == 0 {
		n.t.Error("no crash is named")
	}
	for _, crash := range q.Crashes {
		others := crash.Named != "" && crash.Named != "evil"
		if crash.Cause != cause || !slices.Contains(crash.InFlight, "evil") || others {
			n.t.Errorf("%+v, want the cause %s", crash, cause)
		}
	}
	n.t.Log(n.MustRun("archy-recovery", "--system", "quarantine", "list"))
}

// waitSoaked waits until no container is in flight any more. A crash after that makes no
// container a suspect.
func (n *node) waitSoaked() {
	n.t.Helper()
	n.waitRecovered()
	n.MustRun("timeout", "180", "sh", "-c", `while test -e "$1"; do sleep 0.2; done`, "sh", dataDir+"/in-flight.json")
}

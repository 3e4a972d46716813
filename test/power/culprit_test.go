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

// A container that takes the host down at each start, with a crash that is no power loss,
// is found after two further crashes at most, with the service's own defaults. The
// others run then, and none of them is in quarantine.
func TestCulprit(t *testing.T) {
	n := start(t, vm.Options{FS: vm.Ext4, Limit: 10 * time.Minute}, "")
	others := []string{"sql", "web"}
	for _, name := range others {
		n.quadlet(name)
	}
	n.WriteFile("/etc/containers/systemd/evil.container", "[Container]\nImage="+machine.Image+
		"\nContainerName=evil\n[Service]\nExecStartPost=/bin/sh -c 'test ! -e /var/tmp/evil || . /var/tmp/evil'\n", 0o644)
	n.MustRun("systemctl", "daemon-reload")
	for _, name := range append(others, "evil") { // one by one: an emulated machine is slow
		n.MustRun("systemctl", "start", name)
	}
	n.MustRun("systemctl", "enable", "--now", service)
	for _, name := range append(others, "evil") {
		n.waitSaved(name)
	}
	for _, c := range []struct {
		name, does string
		cause      recover.Cause
		named      bool // by the kernel
	}{
		{"kernel_panic", "echo c >/proc/sysrq-trigger", recover.CausePanic, false},
		{"out_of_memory", "sysctl vm.panic_on_oom=1; tail /dev/zero", recover.CauseOOM, true},
		{"software_watchdog", "modprobe softdog soft_margin=2 soft_panic=1; : >/dev/watchdog", recover.CauseWatchdog, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{n.VM, t}
			n.WriteFile("/var/tmp/evil", c.does, 0o644)
			n.MustRun("sync", "/var/tmp/evil")
			n.PullPlug()
			n.BootNoWait()
			began, crashes := time.Now(), 0
			var st control.Status
			for {
				crashed := false
				boot := n.BootID()
				n.WaitFor(10*time.Minute, "recovery, or a crash of the machine", func() bool {
					crashed = n.BootID() != boot
					out, err := n.Run("archy-recovery", "--system", "status", "--json") // fails early in the boot
					complete := err == nil && json.Unmarshal([]byte(out), &st) == nil && st.RecoveryComplete
					return crashed || complete && stateOf(st, "evil") == recover.RowQuarantined
				})
				if !crashed {
					break
				}
				if crashes++; crashes > 3 {
					t.Fatalf("the machine crashed %d times", crashes)
				}
			}
			t.Logf("%d crashes in %s", crashes, time.Since(began).Round(time.Second))
			if crashes == 0 {
				t.Fatal("the trap did not work")
			}
			for _, name := range others {
				if stateOf(st, name) != recover.RowUp || !n.running()[name] {
					t.Errorf("%s is %s, and runs: %v", name, stateOf(st, name), n.running()[name])
				}
			}
			n.wantCulprit(c.cause, c.named)

			n.MustRun("rm", "/var/tmp/evil")
			n.MustRun("archy-recovery", "--system", "quarantine", "release", "evil")
			n.MustRun("systemctl", "start", "evil")
			n.waitSoaked()
		})
	}
}

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
	if err := json.Unmarshal([]byte(n.MustRun("archy-recovery", "--system", "quarantine", "list", "--json")), &q); err != nil {
		n.t.Fatal(err)
	}
	evil, _ := q.Suspects.Find("evil")
	if len(q.Suspects.Held()) != 1 || !evil.Quarantined || !evil.Evidence || evil.Named != named {
		n.t.Errorf("suspects are %+v", q.Suspects)
	}
	for _, crash := range q.Crashes {
		if crash.Cause != cause || !slices.Contains(crash.InFlight, "evil") || (crash.Named == "evil") != named {
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
	n.MustRun("timeout", "120", "sh", "-c", `while test -e "$1"; do sleep 0.2; done`, "sh", dataDir+"/in-flight.json")
}

package recovery

import (
	"fmt"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// Nothing of a plain Debian wants network-online.target, and each rootless Quadlet
// unit waits up to 90 s for it. The instance wants the target, so recovery takes
// seconds.
func TestNetworkTargetWanted(t *testing.T) {
	t.Parallel()
	n := newNode(t, machine.User, "")
	var all []string
	for i := range 8 {
		name := fmt.Sprintf("web%d", i)
		n.quadlet(name, i%5, "", "")
		all = append(all, name)
	}
	n.user.Systemctl(append([]string{"start"}, all...)...)
	n.enable()
	n.waitSaved(all...)
	n.PullPlug()
	n.BootNoWait()
	n.waitActive(10*time.Minute, n.unit())
	if took := n.recoveryTook(); took > 30*time.Second {
		t.Errorf("READY after %v, want less than 30 s", took)
	}
	st, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range st.Containers {
		if row.State != recover.RowUp || len(row.Attempts) != 1 {
			t.Errorf("%s is %s after %d attempts, want up after 1", row.Name, row.State, len(row.Attempts))
		}
	}
	n.wantRunning(all...)
	got := n.user.Show("podman-user-wait-network-online.service", "Result", "ActiveState")
	if got["Result"] != "success" || got["ActiveState"] != "active" {
		t.Errorf("the wait for the network shows %v, want success", got)
	}
}

// The network is late. The instance wants network-online.target but does not wait
// for it, and neither does the boot. A container whose unit is not ordered after
// the target runs before the network is there.
func TestNetworkLate(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.Quadlet(n.uid, "local.container", "[Quadlet]\nDefaultDependencies=false\n"+
			"[Container]\nContainerName=local\nImage="+machine.Image+"\n")
		n.user.Systemctl("start", "local")
		n.enable()
		n.waitSaved("local")
		n.PullPlug()
		n.DelayNetwork()
		n.BootNoWait()
		n.waitActive(60*time.Second, "multi-user.target")
		st := n.waitRecovered()
		n.wantStates(st, map[string]recover.RowState{"local": recover.RowUp})
		n.wantRunning("local")
		// The wait goes on: it has delayed none of this.
		want := map[string]string{"wait-online.service": "activating", "network-online.target": "inactive"}
		for unit, state := range want {
			if got := n.Show(unit, "ActiveState")["ActiveState"]; got != state {
				n.t.Errorf("%s is %s, want %s", unit, got, state)
			}
		}
		n.NetworkUp()
		n.WaitBooted()
		n.waitActive(0, "network-online.target")
	})
}

// waitActive waits until a unit of the system is active.
func (n *node) waitActive(timeout time.Duration, unit string) {
	n.t.Helper()
	n.WaitFor(timeout, unit+" to be active", func() bool {
		return n.Show(unit, "ActiveState")["ActiveState"] == "active"
	})
}

// recoveryTook returns the time from the daemon's start to READY.
func (n *node) recoveryTook() time.Duration {
	n.t.Helper()
	ready := n.micros(n.Shell, n.unit(), "ActiveEnterTimestampMonotonic")
	return time.Duration(ready-n.micros(n.Shell, n.unit(), "InactiveExitTimestampMonotonic")) * time.Microsecond
}

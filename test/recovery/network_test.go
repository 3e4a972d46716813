package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
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
	if took := n.recoveryTook(); took > 80*time.Second {
		t.Errorf("READY after %v, want less than one wait of podman's unit", took)
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

// networkFleet starts 8 containers in 5 tiers that do not need the network, with each kind
// of unit, and one that does. It returns the names of the former. The latter is "picky":
// the operator has ordered its unit after the network, or rootless, its image has gone
// when the host comes back.
func (n *node) networkFleet() []string {
	n.t.Helper()
	var all []string
	for i := range 6 {
		name := fmt.Sprintf("web%d", i)
		n.quadlet(name, i%5, "", "")
		all = append(all, name)
	}
	n.Quadlet(n.uid, "own.network", "[Network]\n")
	if n.uid == 0 {
		n.Quadlet(0, "picky.container", "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"+
			"[Container]\nContainerName=picky\nImage="+machine.Image+"\nLabel="+tierLabel(0)+"\n")
	} else {
		n.user.MustRun("podman", "tag", machine.Image, pickyImage)
		n.Quadlet(n.uid, "picky.container", "[Container]\nContainerName=picky\nImage="+pickyImage+"\nLabel="+
			tierLabel(0)+"\n")
	}
	n.user.Systemctl(append([]string{"start", "picky"}, all...)...)
	n.generated("fresh", 2, true)
	n.plain("plain", 4)
	all = append(all, "fresh", "plain")
	n.enable()
	n.waitSaved(append([]string{"picky"}, all...)...)
	return all
}

// pickyImage is gone after the crash, like one that a clean-up has removed.
const pickyImage = "localhost/picky:1"

// cutWithoutNetwork pulls the plug of a networkFleet and boots without a network.
func (n *node) cutWithoutNetwork() {
	n.t.Helper()
	if n.uid != 0 {
		n.user.MustRun("podman", "untag", pickyImage, pickyImage) // without the name all names go
	}
	n.PullPlug()
	n.DelayNetwork()
	n.BootNoWait()
	n.waitActive(30*time.Second, n.socketUnit())
}

// upAfter is the time from the begin of recovery until the last of the containers was up.
func upAfter(st control.Status, names []string) time.Duration {
	var last time.Duration
	for _, row := range st.Containers {
		if slices.Contains(names, row.Name) {
			last = max(last, row.Ended().Sub(st.Started))
		}
	}
	return last
}

// The network never comes. Containers that do not need it are up as fast as with it. READY
// waits NetworkWaitSec= for the one that does, and that is started when the network comes
// after all.
func TestNetworkNever(t *testing.T) {
	onBothInstances(t, "NetworkWaitSec=15\n", func(n *node) {
		all := n.networkFleet()
		n.PullPlug()
		n.Boot()
		with := upAfter(n.waitRecovered(), all)
		n.waitSoaked()
		n.cutWithoutNetwork()
		st := n.waitRecovered()
		without, ready := upAfter(st, all), st.Finished.Sub(st.Started)
		begin := st.Finished // when the first was queued: the assessment is not in NetworkWaitSec=
		for _, row := range st.Containers {
			if row.Queued.Before(begin) {
				begin = row.Queued
			}
		}
		n.t.Logf("up after %v with the network, %v without, READY after %v", with, without, ready)
		// Where the network held them up, they would be up after 15 s more at least.
		if without > with+12*time.Second {
			n.t.Errorf("the containers that do not need the network are up after %v, with it after %v", without, with)
		}
		held := max(15*time.Second, st.Started.Add(without).Sub(begin))
		if waited := st.Finished.Sub(begin); waited < 15*time.Second-100*time.Millisecond || waited > held+10*time.Second {
			n.t.Errorf("READY %v after the first start, want %v", waited, held)
		}
		want := map[string]recover.RowState{"picky": recover.RowNoNetwork}
		for _, name := range all {
			want[name] = recover.RowUp
		}
		n.wantStates(st, want)
		n.wantRunning(all...)
		for _, row := range st.Containers {
			if row.Name != "picky" && len(row.Attempts) != 1 || row.Name == "picky" && len(row.Attempts) != 0 {
				n.t.Errorf("%s has %d attempts", row.Name, len(row.Attempts))
			}
		}
		if text := n.cli("status"); !strings.Contains(text, "picky waits for the network") ||
			!strings.Contains(text, "waits for the network: ") {
			n.t.Errorf("status does not say what picky waits for:\n%s", text)
		}
		// Recovery has not run the unit that waits for the network.
		if n.uid != 0 {
			got := n.user.Show("podman-user-wait-network-online.service", "InactiveExitTimestampMonotonic")
			if got["InactiveExitTimestampMonotonic"] != "0" {
				n.t.Errorf("the wait for the network was started: %v", got)
			}
			n.user.MustRun("podman", "tag", machine.Image, pickyImage)
		}
		n.NetworkUp()
		n.WaitFor(20*time.Second, "picky to be up", func() bool {
			st, err := n.status()
			return err == nil && states(st)["picky"] == recover.RowUp
		})
		n.wantRunning(append([]string{"picky"}, all...)...)
	})
}

// The network comes 20 s after the boot. READY waits for the container that needs it, with
// the default of NetworkWaitSec=, and that has one attempt.
func TestNetworkLateBy20(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		all := n.networkFleet()
		n.cutWithoutNetwork()
		n.WaitFor(60*time.Second, "all but picky to be up", func() bool {
			st, err := n.status()
			return err == nil && st.Progress != "" && !slices.ContainsFunc(all, func(name string) bool {
				return states(st)[name] != recover.RowUp
			})
		})
		st, err := n.status()
		if err != nil || st.RecoveryComplete || states(st)["picky"] != recover.RowWaiting {
			n.t.Fatalf("picky is %s, want waiting; %v", states(st)["picky"], err)
		}
		if n.uid != 0 {
			n.user.MustRun("podman", "tag", machine.Image, pickyImage)
		}
		time.Sleep(time.Until(st.Started.Add(20 * time.Second))) // the clock is the host's
		n.NetworkUp()
		st = n.waitRecovered()
		ready := st.Finished.Sub(st.Started)
		n.t.Logf("without need up after %v, READY after %v", upAfter(st, all), ready)
		if ready > 45*time.Second { // and not NetworkWaitSec=
			n.t.Errorf("READY after %v, want 20 s and a start", ready)
		}
		for _, row := range st.Containers {
			if row.State != recover.RowUp || len(row.Attempts) != 1 {
				n.t.Errorf("%s is %s after %d attempts, want up after 1", row.Name, row.State, len(row.Attempts))
			}
		}
		n.wantRunning(append([]string{"picky"}, all...)...)
	})
}

// remoteImage is one whose registry is reached by the network alone.
const remoteImage = "192.0.2.77:5000/picky:1"

// The wait for the network was given up at boot, so the target is reached without one. A
// container whose image has to be pulled waits on, with its attempts unused, and is
// started when the network is there after all. No program tells of that.
func TestNetworkGivenUp(t *testing.T) {
	onBothInstances(t, "NetworkWaitSec=5\n", func(n *node) {
		n.quadlet("local", 1, "", "")
		n.user.MustRun("podman", "tag", machine.Image, remoteImage)
		n.Quadlet(n.uid, "picky.container", "[Container]\nContainerName=picky\nImage="+remoteImage+"\n")
		n.user.Systemctl("start", "local", "picky")
		n.enable()
		n.waitSaved("local", "picky")
		n.user.MustRun("podman", "untag", machine.Image, remoteImage)
		n.PullPlug()
		n.GiveUpNetwork()
		n.Boot()
		st := n.waitRecovered()
		n.waitActive(0, "network-online.target")
		n.wantStates(st, map[string]recover.RowState{"local": recover.RowUp, "picky": recover.RowNoNetwork})
		if text := n.cli("status"); !strings.Contains(text, "picky waits for the network") {
			n.t.Errorf("status does not say what picky waits for:\n%s", text)
		}
		n.user.MustRun("podman", "tag", machine.Image, remoteImage) // in place of the registry
		n.NetworkUp()
		n.WaitFor(2*time.Minute, "picky to be up", func() bool {
			st, err := n.status()
			return err == nil && states(st)["picky"] == recover.RowUp
		})
		n.wantRunning("local", "picky")
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

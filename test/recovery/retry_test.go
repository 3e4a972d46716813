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

// lateDir is where the containers of these tests find what they mount.
const lateDir = "/var/tmp/late"

// needing starts a container without a unit that cannot start without lateDir/NAME.
func (n *node) needing(name string, tier int) {
	n.t.Helper()
	n.mend(name)
	n.plainWith(name, tier, "--volume="+lateDir+"/"+name+":/late")
}

// needingQuadlet makes a Quadlet container that cannot start without lateDir/NAME.
func (n *node) needingQuadlet(name string, tier int) {
	n.t.Helper()
	n.mend(name)
	n.quadlet(name, tier, "Volume="+lateDir+"/"+name+":/late", "")
	n.user.Systemctl("start", name)
}

// mend makes what containers lack.
func (n *node) mend(names ...string) {
	n.t.Helper()
	for _, name := range names {
		n.MustRun("install", "-d", "-o", fmt.Sprint(n.uid), lateDir+"/"+name)
	}
}

// waitUp waits until podman says that a container runs, and returns how long that took.
func (n *node) waitUp(within time.Duration, name string) time.Duration {
	n.t.Helper()
	began := time.Now()
	n.WaitFor(within, name+" to run", func() bool { return slices.Contains(n.running(), name) })
	took := time.Since(began)
	n.t.Logf("%s ran %.1f s later", name, took.Seconds())
	return took
}

// What failed in recovery is tried again after READY until it is up, or until somebody ends
// that: a mount, an image and an address that come late, a directory that is made later, a container that
// needs another one. A monitor may be faster. Then the daemon is started again, during a hold,
// and then the power fails.
func TestRetries(t *testing.T) {
	// Short waits save time. The back-off between the tries is the default one.
	onBothInstances(t, "RetryPauseSec=1\nSoakSec=6\n", func(n *node) {
		const disk = "/var/tmp/disk"
		n.MustRun("install", "-d", "-o", fmt.Sprint(n.uid), disk+"/data", "/var/tmp/nas", "/var/tmp/nas/data")
		n.plainWith("mount", 0, "--volume=/var/tmp/nas/data:/data")
		n.quadlet("mounted", 0, "Volume=/var/tmp/nas/data:/data", "")
		n.user.Systemctl("start", "mounted")
		n.needing("made", 1)
		n.MustRun("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
		n.user.MustRun("podman", "run", "--detach", "--name", "address", "--network=host",
			machine.Image, "-tcp", "192.0.2.7:7007")
		n.needing("sql", 0)
		n.plainWith("app", 1, "--requires=sql")
		n.needing("monitored", 1)
		n.needing("removed", 1)
		n.needing("listed", 1)
		n.needingQuadlet("masked", 1)
		n.needingQuadlet("reset", 1)
		const image = "localhost/late:1"
		n.user.MustRun("podman", "tag", machine.Image, image)
		n.Quadlet(n.uid, "image.container", "[Container]\nContainerName=image\nImage="+image+"\n")
		n.user.Systemctl("start", "image")
		n.needing("later", 2)
		n.needing("crash", 2)
		n.quadlet("well", 0, "", "")
		n.user.Systemctl("start", "well")
		n.enable()
		n.waitSaved("address", "app", "crash", "image", "later", "listed", "made", "masked", "monitored", "mount",
			"mounted", "removed", "reset", "sql", "well")

		n.user.MustRun("podman", "untag", image, image)
		n.PullPlug()
		n.Remove(lateDir)
		n.Remove("/var/tmp/nas/data")
		n.Boot()
		st := n.waitRecovered()
		ready := time.Now()
		n.wantRunning("well")
		if status := n.cli("status"); !strings.Contains(status, "Tried again in") {
			n.t.Errorf("status does not say when it tries again:\n%s", status)
		}
		for _, row := range st.Containers {
			late := row.Name == "well" || row.Name == "address" // which falls after READY
			if !late && !row.State.NotRecovered() {
				n.t.Errorf("%s is %s", row.Name, row.State)
			}
		}

		// What a signal tells does not wait for its back-off.
		n.waitStates(10*time.Second, map[string]recover.RowState{
			"mount": recover.RowFailed, "mounted": recover.RowFailed, "image": recover.RowFailed})
		time.Sleep(time.Until(ready.Add(8 * time.Second))) // the cause of its failure is known, and its soak is over
		planned := rowsOf(n.statusNow())
		n.MustRun("mount", "--bind", disk, "/var/tmp/nas")
		n.wantTriedAtOnce(planned["mount"])
		n.wantTriedAtOnce(planned["mounted"])
		n.user.MustRun("podman", "tag", machine.Image, image)
		n.wantTriedAtOnce(planned["image"])
		// What ends the tries of the others.
		n.cli("user-stopped", "add", "listed")
		n.user.MustRun("podman", "rm", "removed")
		n.user.Systemctl("mask", "--runtime", "masked")
		n.user.Systemctl("reset-failed", "reset")
		n.mend("monitored")
		n.user.MustRun("podman", "start", "monitored")
		n.waitStates(10*time.Second, map[string]recover.RowState{
			"mount": recover.RowUp, "monitored": recover.RowActive, "listed": recover.RowUserStopped,
			"removed": recover.RowUserStopped,
		})
		for name, want := range map[string]string{"listed": "user-stopped list", "nobody": "no container of this recovery",
			"well": "well is up"} {
			if out, err := n.Run(n.command("retry", name)...); err == nil || !strings.Contains(out+err.Error(), want) {
				n.t.Errorf("retry %s: %v: %s", name, err, out)
			}
		}
		// What no signal tells is found within the back-off.
		n.mend("made", "sql", "listed", "masked", "reset", "removed")
		n.MustRun("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
		for _, name := range []string{"made", "sql", "app", "address"} {
			n.waitUp(time.Until(ready.Add(130*time.Second)), name)
		}
		n.waitStates(20*time.Second, map[string]recover.RowState{
			"made": recover.RowUp, "app": recover.RowUp, "address": recover.RowUp,
			"masked": recover.RowUserStopped, "reset": recover.RowFailed, "later": recover.RowFailed,
		})
		n.wantRunning("address", "app", "image", "made", "monitored", "mount", "mounted", "sql", "well")

		// A hold, and a daemon that is started again meanwhile.
		n.cli("hold", "1h")
		n.MustRun("systemctl", "restart", n.unit())
		n.waitRecovered()
		rows := rowsOf(n.statusNow())
		if row := rows["later"]; row.State != recover.RowFailed || row.Retry == nil || row.Retry.Tries != 1 ||
			row.Retry.Next.IsZero() {
			n.t.Errorf("later is %s, %+v", row.State, row.Retry)
		}
		if row := rows["reset"]; row.Retry == nil || row.Retry.Ended == "" || len(rows) != 3 {
			n.t.Errorf("reset is %s, %+v, of %d rows", row.State, row.Retry, len(rows))
		}
		n.t.Logf("in a hold the status is\n%s", n.cli("status", "--lines=25"))
		if status := n.cli("status"); !strings.Contains(status, "Held: until") {
			n.t.Errorf("status does not show the hold:\n%s", status)
		}
		n.mend("later")
		if out := n.cli("retry", "later"); !strings.Contains(out, "later") { // by hand, in the hold
			n.t.Errorf("retry: %s", out)
		}
		n.waitUp(5*time.Second, "later")
		if out := n.cli("hold", "--end"); out != "nothing is held\n" {
			n.t.Errorf("hold --end: %s", out)
		}

		// What was to be tried again is in the next set.
		n.waitStates(10*time.Second, map[string]recover.RowState{"later": recover.RowUp, "crash": recover.RowFailed})
		n.mend("crash")
		n.waitSaved("address", "app", "crash", "image", "later", "made", "monitored", "mount", "mounted", "reset", "sql",
			"well")
		n.PullPlug()
		n.Boot()
		n.waitRecovered()
		if got := n.running(); !slices.Contains(got, "crash") {
			n.t.Errorf("only %q run", got)
		}
		report := n.cli("report", "-1")
		n.t.Logf("the report of the recovery before:\n%s", report)
		if !strings.Contains(report, "made") || strings.Contains(report, "made  failed") {
			n.t.Errorf("the report was not amended:\n%s", report)
		}
	})
}

// wantTriedAtOnce waits until a container runs that failed, and checks that it was not the back-off that
// started it. On an idle host it runs within 2 s; this one has other machines beside it.
func (n *node) wantTriedAtOnce(failed recover.Row) {
	n.t.Helper()
	if failed.Retry == nil {
		n.t.Fatalf("%s is %s, and not to be tried again", failed.Name, failed.State)
	}
	n.waitUp(20*time.Second, failed.Name)
	if tried := rowsOf(n.statusNow())[failed.Name].LastAttempt(); !tried.Started.Before(failed.Retry.Next) {
		n.t.Errorf("%s was tried at %s, by its back-off", failed.Name, tried.Started)
	}
}

// waitStates waits until rows are in states.
func (n *node) waitStates(within time.Duration, want map[string]recover.RowState) {
	n.t.Helper()
	var last string
	deadline := time.Now().Add(within)
	for {
		rows := rowsOf(n.statusNow())
		last = ""
		for name, state := range want {
			if rows[name].State != state {
				last += fmt.Sprintf("%s is %s and not %s (%+v, %s); ", name, rows[name].State, state, rows[name].Retry,
					rows[name].Error)
			}
		}
		if last == "" {
			return
		}
		if time.Now().After(deadline) {
			n.t.Errorf("after %s: %s", within, last)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// statusNow is the status, of a daemon that answers.
func (n *node) statusNow() control.Status {
	n.t.Helper()
	st, err := n.status()
	if err != nil {
		n.t.Fatal(err)
	}
	return st
}

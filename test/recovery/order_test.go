package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// composeOptions are the labels that docker compose gives a container.
func composeOptions(service, needs string) []string {
	return []string{"--label=com.docker.compose.project=shop", "--label=com.docker.compose.service=" + service,
		"--label=com.docker.compose.depends_on=" + needs}
}

// orderedQuadlet makes a Quadlet container whose unit has a line of [Unit].
func (n *node) orderedQuadlet(name string, tier int, unit, extra string) {
	n.t.Helper()
	n.Quadlet(n.uid, name+".container", fmt.Sprintf(
		"[Unit]\n%s\n[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\n%s\n",
		unit, machine.Image, name, recover.TierLabel, tier, extra))
}

// wantChain checks that the containers were started one after the other, each when the last
// one was up and, where it was awaited, healthy.
func (n *node) wantChain(rows map[string]recover.Row, names ...string) {
	n.t.Helper()
	for i, name := range names[1:] {
		before := rows[names[i]]
		ready := before.Ended()
		if last := before.LastAttempt(); last != nil && !last.Healthy.IsZero() {
			ready = last.Healthy
		}
		if rows[name].State != recover.RowUp || rows[name].Started().Before(ready) {
			n.t.Errorf("%s is %s, and started %s before %s was ready", name, rows[name].State,
				ready.Sub(rows[name].Started()), names[i])
		}
	}
}

// Five containers need each other against the order of their tiers: by units, by compose and
// by podman. Others do not wait for them.
func TestOrderAcrossTiers(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		check := fmt.Sprintf("HealthInterval=30s\nHealthCmd=[\"/testapp\",\"-check-age\",\"%s\"]", readyAfter)
		// q1 <- q2 <- q3 by units, the first of them with a health check.
		n.orderedQuadlet("quad1", 5, "", check)
		n.orderedQuadlet("quad2", 3, "After=quad1.service", "")
		n.orderedQuadlet("quad3", 0, "After=quad2.service", "")
		// systemd refuses such units at once; compose's labels may be of two times.
		n.plainWith("ring1", 1, composeOptions("ring1", "ring2:service_started:false")...)
		n.plainWith("ring2", 1, composeOptions("ring2", "ring1:service_started:false")...)
		n.quadlet("free", 0, "", "")
		// comp1 <- comp2 <- comp3 <- comp4 <- comp5, in tiers from high to low.
		n.plainWith("comp1", 5, slices.Concat(healthOptions(readyAfter), composeOptions("one", ""))...)
		n.plainWith("comp2", 4, composeOptions("two", "one:service_healthy:false")...)
		n.plainWith("comp3", 3, append(healthOptions(readyAfter), composeOptions("three", "two:service_started:false")...)...)
		n.plainWith("comp4", 2, composeOptions("four", "three:service_healthy:true,one:service_started:false")...)
		n.plainWith("comp5", 1, "--requires=comp4")
		n.user.Systemctl("start", "quad1", "quad2", "quad3", "free")
		n.enable()
		all := []string{"comp1", "comp2", "comp3", "comp4", "comp5", "free", "quad1", "quad2", "quad3", "ring1", "ring2"}
		n.waitSaved(all...)
		n.crash()
		st := n.waitRecovered()
		n.wantRunning(all...)
		rows := rowsOf(st)
		n.wantChain(rows, "quad1", "quad2", "quad3")
		n.wantChain(rows, "comp1", "comp2", "comp3", "comp4", "comp5")
		for _, name := range []string{"quad1", "comp1", "comp3"} {
			if rows[name].Health != recover.HealthPassed {
				n.t.Errorf("%s is %s, %q", name, rows[name].State, rows[name].Health)
			}
		}
		if !rows["free"].Ended().Before(rows["quad1"].Started()) {
			n.t.Error("free, in tier 0, was up only after quad1, in tier 5")
		}
		if !slices.ContainsFunc(st.Notes, func(note string) bool {
			return strings.HasPrefix(note, "ring1, ring2 need each other")
		}) {
			n.t.Errorf("the notes are %q", st.Notes)
		}
		for _, name := range all {
			n.t.Logf("%s: tier %d, started %.2f s after the first", name, rows[name].Tier,
				rows[name].Started().Sub(rows["free"].Started()).Seconds())
		}
	})
}

// In a chain with a broken link, what comes after the link is started all the same, after
// the link has failed for good.
func TestOrderWithBrokenLink(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1\n", func(n *node) {
		n.MustRun("install", "-d", "-o", fmt.Sprint(n.uid), "/var/tmp/link")
		n.plainWith("comp1", 3, composeOptions("one", "")...)
		n.user.MustRun(append(append([]string{"podman", "run", "--detach", "--name", "comp2", "--label", tierLabel(2)},
			composeOptions("two", "one:service_started:false")...), "--volume=/var/tmp/link:/link", machine.Image)...)
		n.plainWith("comp3", 1, composeOptions("three", "two:service_started:false")...)
		n.plainWith("comp4", 1, composeOptions("four", "three:service_started:false")...)
		n.plainWith("comp5", 0, composeOptions("five", "four:service_started:false")...)
		n.enable()
		n.waitSaved("comp1", "comp2", "comp3", "comp4", "comp5")
		n.PullPlug()
		n.Remove("/var/tmp/link")
		n.Boot()
		rows := rowsOf(n.waitRecovered())
		n.wantRunning("comp1", "comp3", "comp4", "comp5")
		link := rows["comp2"]
		if link.State != recover.RowFailed || len(link.Attempts) != 2 || rows["comp3"].Started().Before(link.Ended()) {
			n.t.Errorf("comp2 is %s after %d attempts; comp3 started %s after its end", link.State, len(link.Attempts),
				rows["comp3"].Started().Sub(link.Ended()))
		}
		n.wantChain(rows, "comp3", "comp4", "comp5")
	})
}

// A container that needs another one to have completed waits for its end. The other one is a
// job then, and leaves the set.
func TestOrderUntilCompleted(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.plainWith("init", 2, composeOptions("init", "")...)
		n.plainWith("comp", 0, composeOptions("comp", "init:service_completed_successfully:false")...)
		n.enable()
		n.waitSaved("comp", "init")
		n.PullPlug()
		n.BootNoWait() // the boot does not end before recovery
		n.WaitFor(60*time.Second, "init to run", func() bool {
			st, err := n.status()
			return err == nil && states(st)["init"] == recover.RowUp
		})
		if st, err := n.status(); err != nil || states(st)["comp"] != recover.RowWaiting || st.RecoveryComplete {
			n.t.Errorf("%v; comp is %s while init runs", err, states(st)["comp"])
		}
		n.MustRun("kill", "-TERM", n.pid("init")) // it exits with 0
		rows := rowsOf(n.waitRecovered())
		if rows["init"].State != recover.RowDone || rows["comp"].State != recover.RowUp ||
			rows["comp"].Started().Before(rows["init"].LastAttempt().Done) {
			n.t.Errorf("init is %s, comp is %s", rows["init"].State, rows["comp"].State)
		}
		n.waitSaved("comp")
	})
}

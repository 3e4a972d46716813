package recovery

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// After a power cut a firewall is loaded when a container runs already, and drops the rules of its
// networks. The status names it, and so does repair. The cure that they print brings the rules back
// and stops nothing, and then neither names it any more.
func TestNetworkRulesLost(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, "")
	// A firewall that starts late, as one that a program of the operator's loads.
	n.quadlet("web", 0, "PublishPort=18080:80\nExec=-tcp 80", "ExecStartPost=/usr/sbin/nft flush ruleset")
	// Its start makes the rules of the network that both are in, and those of the port stay away.
	n.quadlet("db", 1, "", "")
	n.user.Systemctl("start", "db", "web")
	n.enable()
	n.waitSaved("web", "db")
	n.crash()
	n.wantStates(n.waitRecovered(), map[string]recover.RowState{"web": recover.RowUp, "db": recover.RowUp})
	const unit = "archy-recovery-network-check.service"
	answers := func() bool {
		out, err := n.Run("curl", "--silent", "--max-time", "2", "telnet://192.0.2.10:18080")
		return err == nil && strings.Contains(out, "testapp")
	}
	if answers() {
		t.Fatal("web answers, although its rules were dropped")
	}
	noted := func() string {
		st, _ := n.status()
		return strings.Join(st.Notes, "\n")
	}
	n.WaitFor(time.Minute, "the note of the status", func() bool {
		return strings.Contains(noted(), "do not reach web, or")
	})
	if got := n.Show(unit, "Result", "ExecMainStatus"); got["Result"] != "success" || got["ExecMainStatus"] != "0" {
		t.Errorf("%s shows %v", unit, got)
	}

	const cure = "podman network reload --all"
	wants := func(plan string, lines ...string) {
		t.Helper()
		t.Log(plan)
		for _, want := range append(lines, cure) {
			if !strings.Contains(plan, want) {
				t.Errorf("it does not say %q", want)
			}
		}
	}
	plan := n.repairs()
	wants(plan, "web: the rules of its published ports are gone (18080/tcp, network podman)")
	if strings.Contains(plan, "db: ") {
		t.Error("db has its rules")
	}
	if out, err := n.Run(n.command("repair", "--yes", "web")...); err == nil || !strings.Contains(out, "left to you") {
		t.Errorf("repair --yes says %s, and %v", out, err)
	}
	started := n.MustRun("podman", "inspect", "--format", "{{.State.StartedAt}}", "web", "db")
	n.MustRun("nft", "flush", "ruleset")
	wants(n.cli("repair"), "web: the rules of its network podman are gone, with those of its published ports (18080/tcp)",
		"db: the rules of its network podman are gone")
	wants(n.MustRun("archy-recovery", "network", "check"), "no rules of the network 18080/tcp")

	n.MustRun(strings.Fields(cure)...)
	if plan := n.cli("repair"); !strings.Contains(plan, "nothing that is down is known to be damaged") ||
		strings.Contains(plan, "not known") {
		t.Errorf("the rules are back, and repair says\n%s", plan)
	}
	if strings.Contains(noted(), cure) {
		t.Errorf("the rules are back, and the status says\n%s", noted())
	}
	if !answers() {
		t.Error("the rules are back, and web does not answer")
	}
	if now := n.MustRun("podman", "inspect", "--format", "{{.State.StartedAt}}", "web", "db"); now != started {
		t.Error("the cure has started something anew")
	}
	t.Log(n.MustRun("systemctl", "show", "--property=MemoryPeak,CPUUsageNSec", unit))
	// What the operator has masked is not known.
	n.MustRun("systemctl", "mask", unit)
	if plan := n.cli("repair"); !strings.Contains(plan, "not known: whether the rules of podman's networks are there") {
		t.Errorf("the unit is masked, and repair says\n%s", plan)
	}
}

// repairs is what repair says. Soon after READY the daemon may have yet to learn where the storage is.
func (n *node) repairs() (plan string) {
	n.t.Helper()
	n.WaitFor(time.Minute, "an answer of repair", func() bool {
		var err error
		plan, err = n.Run(n.command("repair")...)
		return err == nil
	})
	return plan
}

// A user's networks are in a network namespace of their own. A firewall of the host does not reach
// their rules, so nothing looks at them.
func TestUsersNetworkRulesStay(t *testing.T) {
	t.Parallel()
	n := newNode(t, machine.User, "")
	n.Quadlet(n.uid, "lan.network", "[Network]\n")
	n.quadlet("web", 0, "Network=lan.network\nPublishPort=18080:80\nExec=-tcp 80", "")
	n.user.Systemctl("start", "web")
	n.enable()
	n.waitSaved("web")
	n.crash()
	n.waitRecovered()
	n.MustRun("nft", "flush", "ruleset")
	n.WaitFor(20*time.Second, "an answer of web", func() bool {
		out, err := n.Run("curl", "--silent", "--max-time", "2", "telnet://192.0.2.10:18080")
		return err == nil && strings.Contains(out, "testapp")
	})
	rules := n.user.MustRun("podman", "unshare", "--rootless-netns", "/usr/sbin/nft", "list", "ruleset")
	if !strings.Contains(rules, "table inet netavark") {
		t.Errorf("the user's rules are\n%s", rules)
	}
	if plan := n.repairs(); strings.Contains(plan, "not known") || strings.Contains(plan, "podman network reload") {
		t.Errorf("repair says\n%s", plan)
	}
}

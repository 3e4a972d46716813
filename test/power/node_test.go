// Package power tests the installed package on whole virtual machines. The power
// fails at any moment, and the kernel panics, hangs and runs out of memory. `make
// power-test` runs it; docs/faults.md holds the results.
package power

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
	"archy-recovery/test/vm"
)

const (
	service = "archy-recovery.service"
	dataDir = "/var/lib/archy-recovery"
)

// A node is a machine with the package installed.
type node struct {
	*vm.VM
	t *testing.T
}

// start makes a node and boots it. conf holds lines of [Recovery].
func start(t *testing.T, opts vm.Options, conf string) *node {
	t.Helper()
	if os.Getenv("ARCHY_VM") == "" {
		t.Skip("only `make power-test` runs virtual machines")
	}
	deb := artifact.Package(t)
	n := &node{vm.Start(t, opts), t}
	n.Boot()
	// These tests have no rootless containers, and the user's manager costs seconds
	// of each boot.
	n.MustRun("rm", "/var/lib/systemd/linger/archy")
	n.Install(deb)
	n.WriteFile("/etc/archy-recovery.conf.d/50-test.conf", "[Recovery]\n"+conf, 0o644)
	return n
}

// quadlet writes a container's Quadlet file. The name must not be a hexadecimal
// number: podman may take that for the prefix of another container's ID.
func (n *node) quadlet(name string) {
	n.t.Helper()
	n.WriteFile("/etc/containers/systemd/"+name+".container",
		"[Container]\nImage="+machine.Image+"\nContainerName="+name+"\n", 0o644)
}

// waitRecovered waits until recovery is complete.
func (n *node) waitRecovered() control.Status {
	n.t.Helper()
	// Exit status 3 says that containers failed. The status shows them.
	out, err := n.Run("archy-recovery", "--system", "wait", "--timeout=200s", "--json")
	var st control.Status
	if json.Unmarshal([]byte(out), &st) != nil {
		n.t.Fatalf("wait: %v\n%s", err, n.log())
	}
	return st
}

// waitVerdict waits for the verdict with its cause. The daemon reads the journal
// for the cause while recovery goes on.
func (n *node) waitVerdict() recover.Verdict {
	n.t.Helper()
	n.waitRecovered()
	var st control.Status
	n.WaitFor(30*time.Second, "the verdict's cause", func() bool {
		out, err := n.Run("archy-recovery", "--system", "status", "--json")
		return err == nil && json.Unmarshal([]byte(out), &st) == nil &&
			(!st.Verdict.Unclean() || strings.Contains(st.Verdict.Reason, "; "))
	})
	return st.Verdict
}

// running returns the names of the running containers.
func (n *node) running() map[string]bool {
	n.t.Helper()
	set := map[string]bool{}
	for _, name := range strings.Fields(n.MustRun("podman", "ps", "--format", "{{.Names}}")) {
		set[name] = true
	}
	return set
}

// waitSaved waits until the snapshot on the disk holds the name.
func (n *node) waitSaved(name string) {
	n.t.Helper()
	n.MustRun("timeout", "60", "sh", "-c", `until grep -q '"name": "'"$1"'"' "$2"; do sleep 0.2; done`,
		"sh", name, dataDir+"/running-containers.json")
}

// log returns the daemon's journal entries of this boot.
func (n *node) log() string {
	out, err := n.Run("journalctl", "-b", "-u", service, "-o", "short-monotonic", "--no-pager")
	if err != nil {
		return err.Error()
	}
	return out
}

// record keeps journal entries for the tests of internal/journal.
func (n *node) record(name string, args ...string) {
	n.t.Helper()
	artifact.Record(n.t, name, func() string {
		return n.MustRun(append([]string{"journalctl", "--quiet", "--all", "-o", "json", "--output-fields=" +
			"MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,UNIT,UNIT_RESULT," +
			"EXIT_CODE,EXIT_STATUS,SHUTDOWN,FILE"}, args...)...)
	})
}

// number returns the value of an environment variable that the Makefile sets.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, text, err)
	}
	return n
}

// Package power tests the installed package on whole virtual machines: the
// power fails at any moment, the kernel panics, hangs and runs out of memory.
// `make power-test` runs it; docs/faults.md says what came of it.
package power

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
	"archy-recovery/test/vm"
)

const (
	service = "archy-recovery.service"
	data    = "/var/lib/archy-recovery"
)

// A node is a machine with the package installed and the system instance
// enabled and ready.
type node struct {
	*vm.VM
	t *testing.T
}

// start makes a node. conf is lines of [Recovery].
func start(t *testing.T, opts vm.Options, conf string) *node {
	t.Helper()
	deb := os.Getenv("ARCHY_DEB")
	if os.Getenv("ARCHY_VM") == "" {
		t.Skip("virtual machines are for `make power-test`")
	}
	if deb == "" {
		t.Fatal("ARCHY_DEB does not name the package to test: run `make power-test`")
	}
	n := &node{vm.Start(t, opts), t}
	n.Boot()
	// No rootless containers here, so no manager for them: it costs seconds of each boot.
	n.MustRun("rm", "/var/lib/systemd/linger/archy")
	n.Install(deb)
	n.WriteFile("/etc/archy-recovery.conf.d/50-test.conf", "[Recovery]\n"+conf, 0o644)
	return n
}

// quadlet writes a container's unit. Its name must not be a hexadecimal number.
func (n *node) quadlet(name string) {
	n.t.Helper()
	n.WriteFile("/etc/containers/systemd/"+name+".container", "[Container]\nImage="+machine.Image+"\nContainerName="+name+"\n", 0o644)
}

// wait waits until recovery is complete.
func (n *node) wait() control.Status {
	n.t.Helper()
	// Exit code 3 says that some failed, which the caller sees.
	out, err := n.Run("archy-recovery", "--system", "wait", "--timeout=200s", "--json")
	var st control.Status
	if json.Unmarshal([]byte(out), &st) != nil {
		n.t.Fatalf("wait: %v\n%s", err, n.log())
	}
	return st
}

// verdict waits until the journal was asked for the cause, beside recovery.
func (n *node) verdict() recover.Verdict {
	n.t.Helper()
	n.wait()
	var st control.Status
	n.WaitFor(30*time.Second, "the verdict's cause", func() bool {
		out, err := n.Run("archy-recovery", "--system", "status", "--json")
		return err == nil && json.Unmarshal([]byte(out), &st) == nil &&
			(!st.Verdict.Unclean() || strings.Contains(st.Verdict.Reason, "; "))
	})
	return st.Verdict
}

// running lists the containers that run.
func (n *node) running() map[string]bool {
	n.t.Helper()
	set := map[string]bool{}
	for _, name := range strings.Fields(n.MustRun("podman", "ps", "--format", "{{.Names}}")) {
		set[name] = true
	}
	return set
}

// saved waits in the machine until the set on its disk holds the name.
func (n *node) saved(name string) {
	n.t.Helper()
	n.MustRun("timeout", "60", "sh", "-c", `until grep -q '"name": "'"$1"'"' "$2"; do sleep 0.2; done`, "sh", name, data+"/running-containers.json")
}

// log is what the daemon said in this boot.
func (n *node) log() string {
	out, err := n.Run("journalctl", "-b", "-u", service, "-o", "short-monotonic", "--no-pager")
	if err != nil {
		return err.Error()
	}
	return out
}

// record keeps journal entries for the tests of internal/journal, when
// ARCHY_RECORD names a directory.
func (n *node) record(name string, args ...string) {
	n.t.Helper()
	dir := os.Getenv("ARCHY_RECORD")
	if dir == "" {
		return
	}
	text := n.MustRun(append([]string{"journalctl", "--quiet", "--all", "-o", "json",
		"--output-fields=MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,UNIT,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,SHUTDOWN,FILE"}, args...)...)
	if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// number reads an environment variable that make sets.
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

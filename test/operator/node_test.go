package operator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// A node is a machine with both packages installed, and the user's instance enabled.
type node struct {
	*machine.Machine
	t    *testing.T
	user *machine.Shell // of the user's containers
}

const instance = "archy-recovery@1000.service"

// newNode boots a machine of the spec, installs the packages and configures the instances.
func newNode(t *testing.T, conf string) *node {
	t.Helper()
	m := machine.Start(t, machine.WithSpec(spec))
	n := &node{m, t, m.As(machine.User)}
	n.Install(artifact.Package(t))
	n.Install(artifact.CockpitPackage(t))
	n.WriteFile("/etc/archy-recovery.conf.d/50-test.conf", "[Recovery]\n"+conf, 0o644, 0)
	n.MustRun("systemctl", "start", "network-online.target") // nothing wants it yet, and Quadlet units wait for it
	n.user.MustRun("podman", "ps")                           // rootless podman's first command has to be alone
	return n
}

// with returns the same node for a sub-test.
func (n *node) with(t *testing.T) *node {
	m := n.With(t)
	return &node{m, t, m.As(machine.User)}
}

// quadlet makes a container's unit. extra holds lines of [Container].
func (n *node) quadlet(uid int, name string, tier int, extra string) {
	n.Quadlet(uid, name+".container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\n%s\n",
		machine.Image, name, recover.TierLabel, tier, extra))
}

// waitSaved waits until the snapshot of an instance holds exactly these containers.
func (n *node) waitSaved(file string, want ...string) {
	slices.Sort(want)
	n.WaitFor(10*time.Second, fmt.Sprintf("the snapshot of %q", want), func() bool {
		text, err := n.ReadFile(file)
		var s recover.Snapshot
		if err != nil || json.Unmarshal([]byte(text), &s) != nil {
			return false
		}
		var got []string
		for _, c := range s.Containers {
			got = append(got, c.Name)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// waitRecovered waits until the recovery of the user's instance is complete.
func (n *node) waitRecovered() (st control.Status) {
	// Exit status 3 says that containers failed.
	out, err := n.Run("archy-recovery", "--uid", strconv.Itoa(machine.User), "wait", "--timeout=90s", "--json")
	if json.Unmarshal([]byte(out), &st) != nil {
		n.t.Fatalf("wait: %v", err)
	}
	return st
}

// crash cuts the power and boots again.
func (n *node) crash() {
	n.PullPlug()
	n.Boot()
}

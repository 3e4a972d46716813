// Package recovery tests the installed package on real machines. Containers run,
// the power fails, and the same containers must run again.
package recovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// A node is a machine with the package installed, and one of its instances.
type node struct {
	*machine.Machine
	t    *testing.T
	uid  int            // the instance's: 0 for the system's
	user *machine.Shell // the owner of the instance's containers
}

// onBothInstances runs a test for the system instance and for the user's instance,
// side by side. Each gets a fresh machine that is on. The instance is neither
// enabled nor started yet.
func onBothInstances(t *testing.T, conf string, test func(*node), options ...machine.Option) {
	t.Helper()
	t.Parallel()
	for _, uid := range []int{0, machine.User} {
		t.Run(fmt.Sprintf("uid_%d", uid), func(t *testing.T) {
			t.Parallel()
			test(newNode(t, uid, conf, options...))
		})
	}
}

// newNode boots a machine, installs the package and configures one instance. conf
// holds lines of [Recovery].
func newNode(t *testing.T, uid int, conf string, options ...machine.Option) *node {
	t.Helper()
	deb := artifact.Package(t)
	m := machine.Start(t, options...)
	n := &node{m, t, uid, m.As(uid)}
	n.Install(deb)
	n.configure(conf)
	if uid != 0 {
		n.networkOnline()
		n.runFirstPodman()
	}
	return n
}

// networkOnline starts network-online.target by hand, as README.md says. Until the
// instance is enabled nothing wants that target, and each rootless Quadlet unit would
// wait for it. After that, each boot reaches the target by the instance's Wants= alone.
func (n *node) networkOnline() {
	n.t.Helper()
	n.MustRun("systemctl", "start", "network-online.target")
}

// runFirstPodman runs one podman command alone, in place of the pull of the image.
// Rootless podman's first commands of a boot race for its pause process if they run
// side by side, and may kill each other's containers. The daemon, too, makes one call
// before its first start.
func (n *node) runFirstPodman() {
	n.t.Helper()
	n.running()
}

// configure replaces the drop-in of the instance's configuration. lines are of
// [Recovery].
func (n *node) configure(lines string) {
	name := "/etc/archy-recovery.conf.d/50-test.conf"
	if n.uid != 0 {
		name = fmt.Sprintf("/etc/archy-recovery@%d.conf.d/50-test.conf", n.uid)
	}
	n.WriteFile(name, "[Recovery]\nLogLevel=debug\n"+lines, 0o644, 0)
}

func (n *node) unit() string {
	if n.uid == 0 {
		return "archy-recovery.service"
	}
	return fmt.Sprintf("archy-recovery@%d.service", n.uid)
}

// dataFile returns the path of a file in the data directory.
func (n *node) dataFile(file string) string {
	if n.uid == 0 {
		return "/var/lib/archy-recovery/" + file
	}
	return fmt.Sprintf("/var/lib/archy-recovery/%d/%s", n.uid, file)
}

// enable enables and starts the instance, as an operator does after installation.
func (n *node) enable() {
	n.t.Helper()
	n.MustRun("systemctl", "enable", "--now", n.unit())
}

// cli runs the command archy-recovery as root for the instance.
func (n *node) cli(args ...string) string {
	n.t.Helper()
	return n.MustRun(n.command(args...)...)
}

func (n *node) command(args ...string) []string {
	if n.uid == 0 {
		return append([]string{"archy-recovery", "--system"}, args...)
	}
	return append([]string{"archy-recovery", "--uid", strconv.Itoa(n.uid)}, args...)
}

// waitRecovered waits until recovery is complete, and returns the status.
func (n *node) waitRecovered() control.Status {
	n.t.Helper()
	// Exit status 3 says that containers failed, which some tests expect.
	out, err := n.Run(n.command("wait", "--timeout=90s", "--json")...)
	var st control.Status
	if json.Unmarshal([]byte(out), &st) != nil {
		n.t.Fatalf("wait: %v", err)
	}
	return st
}

// waitSoaked waits until recovery is complete and no container is in flight any
// more. A crash after that makes no container a suspect.
func (n *node) waitSoaked() {
	n.t.Helper()
	n.waitRecovered()
	n.WaitFor(60*time.Second, "the end of the soak", func() bool {
		_, err := n.ReadFile(n.dataFile("in-flight.json"))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// status returns the daemon's status, or an error if it does not answer.
func (n *node) status() (control.Status, error) {
	var st control.Status
	out, err := n.Run(n.command("status", "--json")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// quadlet makes a container's Quadlet unit. extra holds lines of [Container], and
// service holds lines of [Service]. The name must not be a hexadecimal number:
// podman may take that for the prefix of another container's ID.
func (n *node) quadlet(name string, tier int, extra, service string) {
	n.t.Helper()
	n.Quadlet(n.uid, name+".container", fmt.Sprintf(
		"[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\n%s\n[Service]\n%s\n",
		machine.Image, name, recover.TierLabel, tier, extra, service))
}

// plain starts a container without a unit.
func (n *node) plain(name string, tier int) {
	n.t.Helper()
	n.user.MustRun("podman", "run", "--detach", "--name", name, "--label", tierLabel(tier), machine.Image)
}

func tierLabel(tier int) string { return fmt.Sprintf("%s=%d", recover.TierLabel, tier) }

// generated makes a container's unit with podman generate systemd and starts it.
// If fresh is true, the unit makes a new container at each start (--new).
func (n *node) generated(name string, tier int, fresh bool) {
	n.t.Helper()
	n.user.MustRun("podman", "create", "--name", name, "--label", tierLabel(tier), machine.Image)
	args := []string{"podman", "generate", "systemd", "--name", name}
	if fresh {
		args = append(args, "--new")
	}
	dir := "/etc/systemd/system/"
	if n.uid != 0 {
		dir = "/home/archy/.config/systemd/user/"
	}
	n.WriteFile(dir+"container-"+name+".service", n.user.MustRun(args...), 0o644, n.uid)
	if fresh {
		n.user.MustRun("podman", "rm", name)
	}
	n.user.Reload()
	n.user.Systemctl("start", "container-"+name)
}

// running returns the sorted names of the running containers.
func (n *node) running() []string {
	n.t.Helper()
	return slices.Sorted(slices.Values(strings.Fields(n.user.MustRun("podman", "ps", "--format", "{{.Names}}"))))
}

func (n *node) wantRunning(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	if got := n.running(); !slices.Equal(got, want) {
		n.t.Errorf("the running containers are\n%q, want\n%q", got, want)
	}
}

// waitSaved waits until the snapshot on the disk holds exactly these containers.
func (n *node) waitSaved(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	var got []string
	n.WaitFor(10*time.Second, fmt.Sprintf("the snapshot of %q", want), func() bool {
		text, err := n.ReadFile(n.dataFile("running-containers.json"))
		var s recover.Snapshot
		if err != nil || json.Unmarshal([]byte(text), &s) != nil {
			return false
		}
		got = nil
		for _, c := range s.Containers {
			got = append(got, c.Name)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// crash cuts the power and boots again.
func (n *node) crash() {
	n.t.Helper()
	n.PullPlug()
	n.Boot()
}

// micros returns a timestamp property of a unit, in microseconds since the boot.
func (n *node) micros(s *machine.Shell, unit, property string) int64 {
	n.t.Helper()
	us, err := strconv.ParseInt(s.Show(unit, property)[property], 10, 64)
	if err != nil || us == 0 {
		n.t.Fatalf("%s of %s: %v, %v", property, unit, us, err)
	}
	return us
}

// states returns the state of each container's row.
func states(st control.Status) map[string]recover.RowState {
	m := map[string]recover.RowState{}
	for _, row := range st.Containers {
		m[row.Name] = row.State
	}
	return m
}

func (n *node) wantStates(st control.Status, want map[string]recover.RowState) {
	n.t.Helper()
	if got := states(st); !maps.Equal(got, want) {
		n.t.Errorf("the states are\n%v, want\n%v", got, want)
	}
}

// wantLog checks that the daemon has logged the text in this boot.
func (n *node) wantLog(text string) {
	n.t.Helper()
	if log := n.Journal("-b", "-u", n.unit()); !strings.Contains(log, text) {
		n.t.Errorf("the journal does not say %q:\n%s", text, log)
	}
}

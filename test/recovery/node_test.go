// Package recovery tests the installed package on real machines: containers
// run, the plug is pulled, and what ran has to run again.
package recovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A node is a machine with the package installed and one instance enabled.
type node struct {
	*machine.Machine
	t    *testing.T
	uid  int
	user *machine.Shell // whose containers the instance recovers
}

// both runs a test for the system instance and for the user's, side by side,
// each on a fresh machine that is on, with the instance enabled but not begun.
func both(t *testing.T, conf string, test func(*node)) {
	t.Helper()
	t.Parallel()
	for _, uid := range []int{0, machine.User} {
		t.Run(fmt.Sprintf("uid %d", uid), func(t *testing.T) {
			t.Parallel()
			test(newNode(t, uid, conf))
		})
	}
}

// newNode is a machine with the package installed and configured for one
// instance.
func newNode(t *testing.T, uid int, conf string) *node {
	t.Helper()
	deb := deb(t)
	m := machine.Start(t)
	n := &node{m, t, uid, m.As(uid)}
	n.Install(deb)
	n.configure(conf)
	// Rootless podman's first commands of a boot race for its pause process when
	// they come side by side, and may kill each other's containers. The daemon
	// makes one call before it starts any.
	n.running()
	return n
}

// deb is the package under test; make sets it.
func deb(t *testing.T) string {
	path := os.Getenv("ARCHY_DEB")
	if path == "" {
		t.Fatal("ARCHY_DEB does not name the package to test: run `make test`")
	}
	return path
}

// configure replaces the instance's drop-in: lines of [Recovery].
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

// data is a file of the data directory.
func (n *node) data(file string) string {
	if n.uid == 0 {
		return "/var/lib/archy-recovery/" + file
	}
	return fmt.Sprintf("/var/lib/archy-recovery/%d/%s", n.uid, file)
}

// enable does what a user does after the installation.
func (n *node) enable() {
	n.t.Helper()
	n.MustRun("systemctl", "enable", "--now", n.unit())
}

// cli runs archy-recovery as root for the instance.
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

// wait waits until recovery is complete, and returns the status then.
func (n *node) wait() control.Status {
	n.t.Helper()
	// Exit code 3 says that some failed, which may be what the test wants.
	out, err := n.Run(n.command("wait", "--timeout=90s", "--json")...)
	var st control.Status
	if json.Unmarshal([]byte(out), &st) != nil {
		n.t.Fatalf("wait: %v", err)
	}
	return st
}

// soaked waits until recovery is complete and nothing is in flight any more, so
// that a crash makes nobody a suspect.
func (n *node) soaked() {
	n.t.Helper()
	n.wait()
	n.WaitFor(60*time.Second, "the end of the flight", func() bool {
		_, err := n.ReadFile(n.data("in-flight.json"))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// status asks for it, if anyone answers.
func (n *node) status() (control.Status, error) {
	var st control.Status
	out, err := n.Run(n.command("status", "--json")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// quadlet makes a container's Quadlet unit. extra are lines of [Container],
// service ones of [Service]. Its name must not be a hexadecimal number: podman
// may take that for the beginning of some other container's ID.
func (n *node) quadlet(name string, tier int, extra, service string) {
	n.t.Helper()
	n.Quadlet(n.uid, name+".container", fmt.Sprintf(
		"[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\n%s\n[Service]\n%s\n",
		machine.Image, name, recover.TierLabel, tier, extra, service))
}

// plain starts a container without a unit.
func (n *node) plain(name string, tier int) {
	n.t.Helper()
	n.user.MustRun("podman", "run", "--detach", "--name", name, "--label", fmt.Sprintf("%s=%d", recover.TierLabel, tier), machine.Image)
}

// generated makes a unit with podman generate systemd and starts it.
func (n *node) generated(name string, tier int, fresh bool) {
	n.t.Helper()
	n.user.MustRun("podman", "create", "--name", name, "--label", fmt.Sprintf("%s=%d", recover.TierLabel, tier), machine.Image)
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

// running lists the containers that run, sorted.
func (n *node) running() []string {
	n.t.Helper()
	return slices.Sorted(slices.Values(strings.Fields(n.user.MustRun("podman", "ps", "--format", "{{.Names}}"))))
}

func (n *node) wantRunning(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	if got := n.running(); !slices.Equal(got, want) {
		n.t.Errorf("running are\n%q, want\n%q", got, want)
	}
}

// saved waits until the snapshot on disk holds exactly these.
func (n *node) saved(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	var got []string
	n.WaitFor(10*time.Second, fmt.Sprintf("the snapshot of %q", want), func() bool {
		text, err := n.ReadFile(n.data("running-containers.json"))
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

// crash pulls the plug and boots again.
func (n *node) crash() {
	n.t.Helper()
	n.PullPlug()
	n.Boot()
}

// micros reads a timestamp property of a unit, in microseconds since boot.
func (n *node) micros(s *machine.Shell, unit, property string) int64 {
	n.t.Helper()
	us, err := strconv.ParseInt(s.Show(unit, property)[property], 10, 64)
	if err != nil || us == 0 {
		n.t.Fatalf("%s of %s: %v, %v", property, unit, us, err)
	}
	return us
}

// states are the rows' states by container.
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
		n.t.Errorf("states are\n%v, want\n%v", got, want)
	}
}

// wantLog wants an entry of the daemon in this boot's journal.
func (n *node) wantLog(text string) {
	n.t.Helper()
	if log := n.Journal("-b", "-u", n.unit()); !strings.Contains(log, text) {
		n.t.Errorf("the journal does not say %q:\n%s", text, log)
	}
}

package recovery

import (
	"strings"
	"time"
)

// Helpers for the daemon's process and its units.

// socketUnit returns the name of the instance's socket unit.
func (n *node) socketUnit() string { return strings.Replace(n.unit(), ".service", ".socket", 1) }

// relatedUnit returns the name of the instance's snapshot or reconcile service.
func (n *node) relatedUnit(kind string) string {
	return strings.Replace(n.unit(), "archy-recovery", "archy-recovery-"+kind, 1)
}

// dropIn writes a drop-in of the instance's service. The caller reloads the
// manager if the service must see it in this boot.
func (n *node) dropIn(name, text string) {
	n.t.Helper()
	n.WriteFile("/etc/systemd/system/"+n.unit()+".d/"+name, text, 0o644, 0)
}

// daemonPID returns the main PID of the instance's service, as a decimal number.
func (n *node) daemonPID() string {
	n.t.Helper()
	return n.Show(n.unit(), "MainPID")["MainPID"]
}

// killDaemon kills the daemon with SIGKILL.
func (n *node) killDaemon() {
	n.t.Helper()
	n.MustRun("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", n.unit())
}

// killDaemonAndWait kills the daemon and waits until systemd has started the next.
func (n *node) killDaemonAndWait() {
	n.t.Helper()
	old := n.daemonPID()
	n.killDaemon()
	n.waitNewDaemon(20*time.Second, old)
}

// waitNewDaemon waits until a daemon with another PID than old is active.
func (n *node) waitNewDaemon(limit time.Duration, old string) {
	n.t.Helper()
	n.WaitFor(limit, "a new daemon", func() bool {
		now := n.Show(n.unit(), "MainPID", "ActiveState")
		return now["ActiveState"] == "active" && now["MainPID"] != old
	})
}

// pid returns the PID of a container's first process, as a decimal number.
func (n *node) pid(name string) string {
	n.t.Helper()
	return strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", name))
}

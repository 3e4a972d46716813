package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// probe tries what the sandbox must prevent, and what it must allow. It prints a
// line for each attempt: what, and whether that worked. Without a sandbox all
// attempts work, so they must be harmless: the machine's kernel is the host's.
const probe = `#!/bin/bash
try() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "PROBE $what: yes"; else echo "PROBE $what: no"; fi; }
write() { echo x >"$1/probe-was-here"; }
cap() { grep -Eq "^$1:[[:space:]]*0*[1-9a-f]" /proc/self/status; }

try "write to its data directory" write "$STATE_DIRECTORY"
try "write units for the run time" write "$UNITS"
try "reach the bus" busctl --address="$BUS" list
try "reach podman" curl --fail --max-time 20 --unix-socket "$PODMAN" http://d/libpod/_ping
try "read the journal" journalctl -n 1
for dir in / /boot /etc /etc/systemd/system /home/archy /opt /root /run /srv /usr /usr/local/bin \
	/var /var/lib /var/lib/containers /var/log /var/spool; do
	try "write to $dir" write "$dir"
done
try "set the host's name" sh -c 'echo archy >/proc/sys/kernel/hostname'
try "connect over IPv4" bash -c 'exec 3<>/dev/tcp/127.0.0.1/7777'
try "send over IPv4" bash -c 'echo x >/dev/udp/127.0.0.1/7'
try "send over IPv6" bash -c 'echo x >/dev/udp/::1/7'
try "reach a server" curl --max-time 5 http://127.0.0.1:7777/
try "open a netlink socket" ip link
for set in CapPrm CapEff CapBnd; do try "have something in $set" cap $set; done
try "gain privileges by execve" grep -q '^NoNewPrivs:[[:space:]]*0' /proc/self/status
try "run without a seccomp filter" grep -q '^Seccomp:[[:space:]]*[01]$' /proc/self/status
try "make a namespace" unshare --user true
try "mount" mount -t tmpfs none "$STATE_DIRECTORY"
cp /bin/true "$STATE_DIRECTORY/probe-true"
try "make a set-uid file" chmod u+s "$STATE_DIRECTORY/probe-true"
try "get real-time priority" chrt --fifo 1 true
try "change its user" setpriv --reuid=2 --clear-groups true
try "see PID 1" test -e /proc/1/cmdline
try "see a process of another user" test -e "/proc/$OTHER"
try "see a device" test -e /dev/fuse
try "read the kernel's log" dmesg
true
`

// A process in the daemon's place, with all settings of the unit, can do what the
// daemon must do, and nothing else that matters.
func TestSandbox(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.MustRun("systemctl", "stop", n.socketUnit())
		n.WriteFile("/usr/local/bin/probe", probe, 0o755, 0)
		// These are a server to reach, and a process of another user to see.
		user := map[int]string{0: "archy", 1000: "root"}[n.uid]
		n.MustRun("systemd-run", "--unit=server", "podman", "system", "service", "--time=0", "tcp:127.0.0.1:7777")
		n.MustRun("systemd-run", "--unit=other", "--uid="+user, "sleep", "infinity")
		other := n.Show("other", "MainPID")["MainPID"]
		bus, units := "unix:path=/run/dbus/system_bus_socket", "/run/systemd/system"
		podman := "/run/podman/podman.sock"
		if n.uid != 0 {
			bus, units = "unix:path=/run/user/1000/bus", "/run/user/1000/systemd"
			podman = "/run/user/1000/podman/podman.sock"
		}
		n.dropIn("probe.conf", fmt.Sprintf(
			"[Unit]\nRequires=\n[Service]\nType=oneshot\nWatchdogSec=0\nSockets=\n"+
				"ExecStart=\nExecStart=/usr/local/bin/probe\nEnvironment=BUS=%s UNITS=%s PODMAN=%s OTHER=%s\n",
			bus, units, podman, other))
		n.Reload()
		n.WaitFor(20*time.Second, "the server", func() bool {
			_, err := n.Run("curl", "--silent", "--max-time", "1", "http://127.0.0.1:7777/")
			return err == nil
		})
		n.MustRun("systemctl", "start", n.unit())

		// The same runs as root without a sandbox. An attempt that fails there shows
		// nothing.
		n.MustRun("mkdir", "/var/tmp/control")
		without := n.attempts(n.MustRun("env", "STATE_DIRECTORY=/var/tmp/control", "UNITS="+units, "BUS="+bus,
			"PODMAN="+podman, "OTHER="+other, "/usr/local/bin/probe"))
		within := n.attempts(n.Journal("-b", "-o", "cat", "-u", n.unit()))
		if len(within) < 30 || len(without) != len(within) {
			n.t.Errorf("%d attempts within the sandbox, %d without it", len(within), len(without))
		}
		must := []string{"write to its data directory", "write units for the run time", "reach the bus",
			"reach podman", "read the journal"}
		for what, did := range within {
			if did != slices.Contains(must, what) {
				n.t.Errorf("within the sandbox, can it %s? %v", what, did)
			}
			if !did && !without[what] {
				n.t.Errorf("without a sandbox it cannot %s either, so the attempt shows nothing", what)
			}
		}
	})
}

// attempts parses the probe's output: whether each attempt worked.
func (n *node) attempts(output string) map[string]bool {
	did := map[string]bool{}
	for line := range strings.Lines(output) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "PROBE "); ok {
			what, result, _ := strings.Cut(text, ": ")
			did[what] = result == "yes"
		}
	}
	return did
}

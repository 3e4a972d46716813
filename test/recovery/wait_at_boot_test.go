package recovery

import (
	"strings"
	"testing"
	"time"
)

// wait right after the boot, before the socket is there, waits for it. Once the boot is past
// its sockets, a stopped instance has no daemon, and wait says so at once.
func TestWaitRightAfterBoot(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.enable()
		n.waitSaved("app")
		socket := strings.TrimSuffix(n.unit(), ".service") + ".socket"
		n.WriteFile("/etc/systemd/system/"+socket+".d/late.conf", "[Socket]\nExecStartPre=/bin/sleep 2\n", 0o644, 0)
		n.PullPlug()
		n.BootNoWait()
		if _, err := n.Run("test", "-e", n.socket()); err == nil {
			n.t.Error("the socket is there already: the test tests nothing")
		}
		owner := n.As(n.uid)
		out, err := owner.Run("archy-recovery", "wait", "--timeout=60s")
		if err != nil || !strings.Contains(out, "recovery complete") {
			n.t.Errorf("wait: %q, %v", out, err)
		}
		n.WaitBooted()
		n.wantRunning("app")

		n.MustRun("systemctl", "stop", n.unit(), socket)
		began := time.Now()
		_, err = n.Run(n.command("wait", "--timeout=60s")...)
		if err == nil || !strings.Contains(err.Error(), "exit status 5") || time.Since(began) > 20*time.Second {
			n.t.Errorf("of a stopped instance, after %s: %v", time.Since(began), err)
		}
	})
}

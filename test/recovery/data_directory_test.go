package recovery

import (
	"strings"
	"testing"
)

// The sandbox does not let the daemon write a data directory elsewhere. The daemon
// ends with EX_CONFIG and advice, and systemd does not start it again. The advice
// works.
func TestDataDirectoryOutsideSandbox(t *testing.T) {
	const path = "/srv/archipelago"
	onBothInstances(t, "DataDirectory="+path+"\n", func(n *node) {
		n.quadlet("web", 3, "", "")
		n.user.Reload()
		n.user.Systemctl("start", "web")
		if out, err := n.Run("systemctl", "enable", "--now", n.unit()); err == nil {
			n.t.Fatalf("the service starts: %s", out)
		}
		got := n.Show(n.unit(), "ExecMainStatus", "NRestarts", "ActiveState")
		if got["ExecMainStatus"] != "78" || got["NRestarts"] != "0" || got["ActiveState"] != "failed" {
			n.t.Errorf("the unit is %v", got)
		}

		// The test follows the advice in the journal literally.
		output := n.Journal("-b", "-u", n.unit(), "-o", "cat")
		_, advice, found := strings.Cut(output, "make it:\n")
		command, rest, _ := strings.Cut(strings.TrimSpace(advice), "\n")
		_, dropIn, _ := strings.Cut(rest, "    [Service]\n")
		setting, _, _ := strings.Cut(strings.TrimSpace(dropIn), "\n")
		if !found || setting != "ReadWritePaths="+path {
			n.t.Fatalf("the journal says:\n%s", output)
		}
		n.MustRun(strings.Fields(command)...)
		n.dropIn("data-directory.conf", "[Service]\n"+setting+"\n")
		n.Reload()
		n.Systemctl("restart", n.unit())
		n.waitRecovered()
		n.crash()
		n.waitRecovered()
		n.wantRunning("web")
		if _, err := n.ReadFile(path + "/running-containers.json"); err != nil {
			n.t.Error(err)
		}
	})
}

package recovery

import (
	"fmt"
	"strings"
	"testing"
)

// A data directory that the sandbox keeps the daemon from: it ends with
// EX_CONFIG and advice, systemd does not try again, and the advice helps.
func TestADataDirectoryElsewhere(t *testing.T) {
	const path = "/srv/archipelago"
	both(t, "DataDirectory="+path+"\n", func(n *node) {
		n.quadlet("web", 3, "", "")
		n.user.Reload()
		n.user.Systemctl("start", "web")
		if out, err := n.Run("systemctl", "enable", "--now", n.unit()); err == nil {
			n.t.Fatalf("it starts: %s", out)
		}
		got := n.Show(n.unit(), "ExecMainStatus", "NRestarts", "ActiveState")
		if got["ExecMainStatus"] != "78" || got["NRestarts"] != "0" || got["ActiveState"] != "failed" {
			n.t.Errorf("the unit is %v", got)
		}

		// What the journal says is done to the letter.
		said := n.Journal("-b", "-u", n.unit(), "-o", "cat")
		_, advice, found := strings.Cut(said, "make it:\n")
		command, rest, _ := strings.Cut(strings.TrimSpace(advice), "\n")
		_, dropIn, _ := strings.Cut(rest, "    [Service]\n")
		setting, _, _ := strings.Cut(strings.TrimSpace(dropIn), "\n")
		if !found || setting != "ReadWritePaths="+path {
			n.t.Fatalf("the journal says:\n%s", said)
		}
		n.MustRun(strings.Fields(command)...)
		n.WriteFile(fmt.Sprintf("/etc/systemd/system/%s.d/data-directory.conf", n.unit()), "[Service]\n"+setting+"\n", 0o644, 0)
		n.Reload()
		n.Systemctl("restart", n.unit())
		n.wait()
		n.crash()
		n.wait()
		n.wantRunning("web")
		if _, err := n.ReadFile(path + "/running-containers.json"); err != nil {
			n.t.Error(err)
		}
	})
}

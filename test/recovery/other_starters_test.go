package recovery

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// Status and journal name each other unit that starts containers at boot, once. The
// daemon leaves their containers alone.
func TestOtherStartersNoted(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("ours", 3, "", "")
		n.Quadlet(n.uid, "theirs.container", "[Container]\nContainerName=theirs\nImage="+machine.Image+
			"\n[Install]\nWantedBy=multi-user.target default.target\n")
		n.user.Systemctl("start", "ours", "theirs")
		n.user.MustRun("podman", "run", "--detach", "--restart=always", "--name", "always", machine.Image)
		n.user.Systemctl("enable", "podman-restart.service")
		n.enable()
		n.waitSaved("always", "ours", "theirs")
		n.crash()
		n.waitRecovered()
		n.wantRunning("always", "ours", "theirs")

		var notes string
		n.WaitFor(20*time.Second, "the notes", func() bool { // they come after READY
			st, err := n.status()
			notes = strings.Join(st.Notes, "\n")
			return err == nil && len(st.Notes) >= 2
		})
		for _, want := range []string{
			"user-stopped: theirs.service. To", "podman-restart.service is enabled", "user-stopped: always. To",
		} {
			if !strings.Contains(notes, want) {
				n.t.Errorf("the notes lack %q:\n%s", want, notes)
			}
		}
		n.wantLog("podman-restart.service is enabled")
	})
}

package recovery

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// Who else starts containers at boot is named, once, in status and journal; what
// they started is left alone.
func TestWhoElseStartsContainersIsNamed(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("ours", 3, "", "")
		n.Quadlet(n.uid, "theirs.container", "[Container]\nContainerName=theirs\nImage="+machine.Image+"\n[Install]\nWantedBy=multi-user.target default.target\n")
		n.user.Systemctl("start", "ours", "theirs")
		n.user.MustRun("podman", "run", "--detach", "--restart=always", "--name", "always", machine.Image)
		n.user.Systemctl("enable", "podman-restart.service")
		n.enable()
		n.saved("always", "ours", "theirs")
		n.crash()
		n.wait()
		n.wantRunning("always", "ours", "theirs")

		var notes string
		n.WaitFor(20*time.Second, "the notes", func() bool { // beside, after READY
			st, err := n.status()
			notes = strings.Join(st.Notes, "\n")
			return err == nil && len(st.Notes) >= 2
		})
		for _, want := range []string{"user-stopped: theirs.service. To", "podman-restart.service is enabled", "user-stopped: always. To"} {
			if !strings.Contains(notes, want) {
				n.t.Errorf("the notes lack %q:\n%s", want, notes)
			}
		}
		n.wantLog("podman-restart.service is enabled")
	})
}

package recovery

import (
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// podman's API is not there after a crash: containers with units are recovered
// without it, one that only podman could start is not, but it is not forgotten.
func TestAPodmanThatDoesNotAnswer(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("web", 3, "", "")
		n.user.Reload()
		n.user.Systemctl("start", "web")
		n.plain("plain", 3)
		n.enable()
		n.saved("plain", "web")
		n.user.Systemctl("mask", "podman.socket", "podman.service")
		n.crash()

		st := n.wait()
		n.wantRunning("web")
		n.wantStates(st, map[string]recover.RowState{"web": recover.RowUp, "plain": recover.RowFailed})
		if notes := strings.Join(st.Notes, "\n"); !strings.Contains(notes, "podman does not answer") {
			n.t.Errorf("notes are %q", notes)
		}
		n.wantLog("podman.socket")
		n.saved("plain", "web")

		n.user.Systemctl("unmask", "podman.socket", "podman.service")
		n.crash()
		n.wait()
		n.wantRunning("plain", "web")
	})
}

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

// A Quadlet container is gone after a boot. Where its name is the beginning of
// another's ID, podman would remove that one for it.
func TestANameThatIsTheBeginningOfAnID(t *testing.T) {
	both(t, "RetryPauseSec=1\n", func(n *node) {
		n.plain("other", 3)
		id := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.Id}}", "other"))
		name := id[:3]
		n.quadlet(name, 3, "", "")
		n.user.Reload()
		n.enable()
		n.saved("other")
		n.PullPlug()
		n.WriteFile(n.data("running-containers.json"), `{"timestamp":1,"containers":[{"name":"other","image":"x"},{"name":"`+name+`","image":"x"}]}`, 0o644, n.uid)
		n.Boot()

		st := n.wait()
		n.wantRunning("other")
		n.wantStates(st, map[string]recover.RowState{"other": recover.RowUp, name: recover.RowFailed})
		n.wantLog(`name \"` + name + `\" is a prefix of the ID of container other; podman would replace that one`)
		n.saved("other", name)
		if now := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.Id}}", "other")); now != id {
			n.t.Errorf("other is %s, and was %s", now, id)
		}

		n.user.MustRun("podman", "rename", "other", "another")
		n.user.MustRun("podman", "rm", "--force", "another")
		n.crash()
		n.wait()
		n.wantRunning(name)
	})
}

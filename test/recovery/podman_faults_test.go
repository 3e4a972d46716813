package recovery

import (
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// podman's API is unavailable after a crash. Containers with units are recovered
// without it. A container without a unit fails, and stays in the snapshot.
func TestPodmanUnavailable(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("web", 3, "", "")
		n.user.Reload()
		n.user.Systemctl("start", "web")
		n.plain("plain", 3)
		n.enable()
		n.waitSaved("plain", "web")
		n.user.Systemctl("mask", "podman.socket", "podman.service")
		n.crash()

		st := n.waitRecovered()
		n.wantRunning("web")
		n.wantStates(st, map[string]recover.RowState{"web": recover.RowUp, "plain": recover.RowFailed})
		if notes := strings.Join(st.Notes, "\n"); !strings.Contains(notes, "podman does not answer") {
			n.t.Errorf("the notes are %q", notes)
		}
		n.wantLog("podman.socket")
		n.waitSaved("plain", "web")

		n.user.Systemctl("unmask", "podman.socket", "podman.service")
		n.crash()
		n.waitRecovered()
		n.wantRunning("plain", "web")
	})
}

// A Quadlet container does not exist after a boot. If its name is a prefix of
// another container's ID, podman would remove that container at its start.
func TestNameIsPrefixOfID(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1\n", func(n *node) {
		n.plain("other", 3)
		id := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.Id}}", "other"))
		name := id[:3]
		n.quadlet(name, 3, "", "")
		n.user.Reload()
		n.enable()
		n.waitSaved("other")
		n.PullPlug()
		n.WriteFile(n.dataFile("running-containers.json"), `{"timestamp":1,"containers":[
			{"name":"other","image":"x"},{"name":"`+name+`","image":"x"}]}`, 0o644, n.uid)
		n.Boot()

		st := n.waitRecovered()
		n.wantRunning("other")
		n.wantStates(st, map[string]recover.RowState{"other": recover.RowUp, name: recover.RowFailed})
		n.wantLog(`name \"` + name + `\" is a prefix of the ID of container other; podman would replace that one`)
		n.waitSaved("other", name)
		if now := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.Id}}", "other")); now != id {
			n.t.Errorf("the ID of other is %s, and was %s", now, id)
		}

		n.user.MustRun("podman", "rename", "other", "another")
		n.user.MustRun("podman", "rm", "--force", "another")
		n.crash()
		n.waitRecovered()
		n.wantRunning(name)
	})
}

package recovery

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// After a clean shutdown the default starts only the clean-boot list. status and the journal
// then say what stayed down, and the command that they name changes it.
func TestCleanBootSaysWhatStaysDown(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("app", 3, "", "")
		n.user.Systemctl("start", "app")
		n.plain("plain", 3)
		n.enable()
		n.waitSaved("app", "plain")
		n.Reboot()
		n.waitRecovered()
		n.wantRunning()

		const said = "2 containers ran before the shutdown and were not started: CleanBoot=list (app, plain)"
		var command string
		n.WaitFor(30*time.Second, "the note on what stayed down", func() bool {
			st, err := n.status()
			if err != nil {
				return false
			}
			for _, note := range st.Notes {
				if strings.HasPrefix(note, said) {
					_, command, _ = strings.Cut(note, "before it: ")
				}
			}
			return command != ""
		})
		if text := n.Journal("-b", "-o", "cat", "MESSAGE_ID="+recover.MsgLeftDown); !strings.HasPrefix(text, said) {
			n.t.Errorf("the journal says %q", text)
		}
		if text := n.cli("status"); !strings.Contains(text, "2 containers ran before the shutdown") {
			n.t.Errorf("status prints\n%s", text)
		}

		n.MustRun("sh", "-c", command)
		n.user.Systemctl("start", "app")
		n.user.MustRun("podman", "start", "plain")
		n.waitSaved("app", "plain")
		n.Reboot()
		if st := n.waitRecovered(); strings.Contains(strings.Join(st.Notes, "\n"), "before the shutdown") {
			n.t.Errorf("the notes are %q", st.Notes)
		}
		n.wantRunning("app", "plain")
	})
}

package recovery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// incompleteUnit is the unit that runs the operator's script, without its suffix.
func (n *node) incompleteUnit() string {
	if n.uid == 0 {
		return "archy-recovery-incomplete"
	}
	return fmt.Sprintf("archy-recovery-incomplete@%d", n.uid)
}

// saidByScript returns what the script of this boot has told, a word a message.
func (n *node) saidByScript() (told []string) {
	n.t.Helper()
	for line := range strings.Lines(n.Journal("-b", "-o", "cat", "-t", "archy-recovery-incomplete")) {
		if message, is := strings.CutPrefix(strings.TrimSpace(line), "told:"); is {
			told = append(told, message)
		}
	}
	return told
}

// awaitScript waits until the script has printed these lines in this boot.
func (n *node) awaitScript(want ...string) {
	n.t.Helper()
	n.WaitFor(90*time.Second, fmt.Sprintf("the script to say %q", want), func() bool {
		return strings.Join(n.saidByScript(), " ") == strings.Join(want, " ")
	})
}

// The operator's script is told once of what recovery left down, and of what falls later. It
// is not told when all is well.
func TestIncompleteScript(t *testing.T) {
	// Short, so that the second crash has no suspects: the test is about the script.
	onBothInstances(t, "RetryPauseSec=1\nSoakSec=2\n", func(n *node) {
		n.WriteFile("/usr/local/lib/archy-recovery/incomplete",
			"#!/bin/sh\nid >&2\necho \"told:$ARCHY_RECOVERY_VERDICT:$(echo $ARCHY_RECOVERY_NEW | tr ' ' ,)\"\n", 0o755, 0)
		n.quadlet("good", 1, "Notify=true", "")
		n.quadlet("late", 2, "", "") // its soak begins after the first failure of good
		n.user.Systemctl("start", "good", "late")
		n.enable()
		n.MustRun("systemctl", "enable", "--now", n.incompleteUnit()+".service", n.incompleteUnit()+".path")
		n.waitSaved("good", "late")
		n.crash()
		n.waitSoaked()
		n.awaitScript() // all is well

		n.quadlet("good", 1, "Notify=true\nExec=-state /nowhere", "") // from now on it fails
		n.configure("RetryPauseSec=1\nSoakSec=30\n")                  // a fall is told at the soak's end
		n.crash()
		n.awaitScript("host-crash:good")
		n.MustRun("kill", "-9", n.pid("late"))
		n.awaitScript("host-crash:good", "host-crash:late")
		user := n.Journal("-b", "-o", "cat", "-t", "archy-recovery-incomplete")
		if !strings.Contains(user, "uid=") || strings.Contains(user, "uid=0(") ||
			strings.Contains(user, fmt.Sprintf("uid=%d(", machine.User)) {
			n.t.Errorf("the script runs with rights: %s", user)
		}

		// A stopped daemon is not started for it.
		n.MustRun("systemctl", "stop", n.unit())
		if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state != "inactive" {
			n.t.Errorf("the daemon is %s after its stop", state)
		}
		if state := n.Show(n.incompleteUnit()+".path", "ActiveState")["ActiveState"]; state != "inactive" {
			n.t.Errorf("the path unit is %s after the daemon's stop", state)
		}
	})
}

// listen answers one client of a port at a time with a shell script, whose input is what the
// client sends.
func (n *node) listen(port int, script string) {
	n.t.Helper()
	n.WriteFile("/usr/local/bin/answer", "#!/bin/bash\n"+script, 0o755, 0)
	n.MustRun("systemd-run", "--unit=listener", "systemd-socket-activate", "--inetd", "--accept",
		fmt.Sprintf("--listen=127.0.0.1:%d", port), "/usr/local/bin/answer")
	n.WaitFor(10*time.Second, "the listener", func() bool {
		_, err := n.Run("bash", "-c", fmt.Sprintf("ss -ltn | grep -q 127.0.0.1:%d", port))
		return err == nil
	})
}

// smtpAnswers is a mail server, as far as the example needs it.
const smtpAnswers = `
say() { printf '%s\r\n' "$1"; }
say '220 test'
while IFS= read -r line; do
	line=${line%$'\r'}
	echo "$line" >>/run/received
	case $line in
	DATA)
		say '354 go on'
		while IFS= read -r line && [ "$line" != $'.\r' ]; do echo "$line" >>/run/received; done
		say '250 ok' ;;
	QUIT) say '221 bye'; exit ;;
	*) say '250 ok' ;;
	esac
done
`

// httpAnswers is a web server that takes one message.
const httpAnswers = `
length=0
while IFS= read -r line && [ "$line" != $'\r' ]; do
	echo "$line" >>/run/received
	case ${line,,} in content-length:*) length=${line//[^0-9]/} ;; esac
done
head -c "$length" >>/run/received
printf 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
`

// The examples for mail and ntfy, as their README installs them, send a message out of the
// sandbox.
func TestIncompleteExamples(t *testing.T) {
	for name, c := range map[string]struct {
		port    int
		answers string
		want    []string
	}{
		"ntfy": {8025, httpAnswers, []string{"POST /topic", "Title: ", "app fell"}},
		"mail": {8025, smtpAnswers,
			[]string{"RCPT TO:<you@example.org>", "Subject: ", "app fell", "The last run ended"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, machine.User, "RetryPauseSec=1\n")
			const examples = "/usr/share/doc/archy-recovery/examples/incomplete"
			n.quadlet("app", 1, "", "")
			n.user.Systemctl("start", "app")
			n.enable()
			n.waitSaved("app")
			n.MustRun("install", "-D", "-m", "755", examples+"/"+name, "/usr/local/lib/archy-recovery/incomplete")
			n.MustRun("cp", "-r", examples+"/archy-recovery-incomplete@1000.service.d", "/etc/systemd/system/")
			n.MustRun("sed", "-i", "-e", "s#=NTFY_URL=.*#=NTFY_URL=http://127.0.0.1:8025/topic#",
				"-e", "s#=SMTP_URL=.*#=SMTP_URL=smtp://127.0.0.1:8025#",
				"/etc/systemd/system/archy-recovery-incomplete@1000.service.d/to.conf")
			n.MustRun("systemctl", "daemon-reload")
			n.MustRun("systemctl", "enable", "archy-recovery-incomplete@1000.service", "archy-recovery-incomplete@1000.path")
			n.quadlet("app", 1, "Exec=-state /nowhere", "")
			n.crash()
			n.listen(c.port, c.answers)
			n.waitRecovered()
			// The unit may have run before the listener was there. It runs again after 5 min; not to wait:
			n.MustRun("systemctl", "restart", "archy-recovery-incomplete@1000.service")
			text, _ := n.ReadFile("/run/received")
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					n.t.Errorf("the message lacks %q:\n%s\n%s", want, text,
						n.Journal("-b", "-u", "archy-recovery-incomplete@1000.service"))
				}
			}
		})
	}
}

package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// hangingRuntime is an OCI runtime. While the file hangFile holds the name of one of
// its commands, that command hangs. It goes on when the file is gone.
const (
	hangingRuntime = `#!/bin/sh
for word in "$@"; do
	case $word in start|delete)
		if [ "$(cat ` + hangFile + ` 2>/dev/null)" = "$word" ]; then
			echo "$word" >>` + hungFile + `
			while [ -e ` + hangFile + ` ]; do sleep 0.2; done
		fi
		break
	esac
done
exec crun "$@"
`
	hangFile = "/srv/hang"
	hungFile = "/srv/hung" // a line for each command that hung
)

// One container hangs inside podman, which then answers no list of containers. That
// costs the others nothing: they are called up when they run, are never called failed
// and are not tried twice. READY comes when the attempts of the hung one are over.
func TestStartHangs(t *testing.T) {
	// With the default of 120 and 180 s for the attempts, READY would come after five
	// minutes, three times. A start takes less than a second here. On a slow and busy
	// host, ten side by side have taken more than 8 s.
	const (
		first, pause, second = 20 * time.Second, time.Second, 4 * time.Second
		conf                 = "FirstAttemptSec=20\nRetryPauseSec=1\nSecondAttemptSec=4\nTierDeadlineSec=3\nSoakSec=1\n"
	)
	onBothInstances(t, conf, func(n *node) {
		h := hang{node: n, attempts: first + pause + second}
		n.WriteFile("/usr/local/bin/hanging-runtime", hangingRuntime, 0o755, 0)
		n.WriteFile("/etc/containers/containers.conf.d/60-hang.conf",
			"[engine.runtimes]\nhanging = [\"/usr/local/bin/hanging-runtime\"]\n", 0o644, 0)
		n.WriteFile(hungFile, "", 0o666, 0)
		n.user.MustRun("podman", "--runtime=hanging", "run", "--detach", "--name", "hung", "--stop-timeout=1", machine.Image)
		for i := range 10 {
			h.others = append(h.others, fmt.Sprintf("app%d", i))
			n.plain(h.others[i], 3)
		}
		n.enable()
		n.waitSaved(append([]string{"hung"}, h.others...)...)

		// The power fails, and the start by recovery hangs.
		n.PullPlug()
		h.hangAt("start")
		n.BootNoWait()
		h.watch = n.watch()
		h.wantOthersUp("after a crash", h.others)
		if row := h.last().row("hung"); row.State != recover.RowFailed || len(row.Attempts) != 2 {
			n.t.Errorf("hung is %s after %d attempts, want failed after 2", row.State, len(row.Attempts))
		}
		n.wantNotAllRecovered()
		h.goOn()

		// The container has ended by itself, and its start by the user hangs. Then two
		// others and the daemon are killed.
		n.MustRun("kill", "-9", n.pid("hung"))
		n.WaitFor(20*time.Second, "the end of hung", func() bool { return !slices.Contains(n.running(), "hung") })
		h.hangAt("start")
		h.begin("podman", "start", "hung")
		h.killDaemonAnd("app0", "app1")
		h.wantOthersUp("with a hung start before", []string{"app0", "app1"})
		h.goOn()

		// The same while a stop by the user hangs: the program has ended, and the runtime
		// hangs when podman cleans up.
		h.hangAt("delete")
		h.begin("podman", "stop", "hung")
		h.killDaemonAnd("app2", "app3")
		h.wantOthersUp("with a hung stop before", []string{"app2", "app3"})
	})
}

// hang is a machine on which one container hangs, and the others do not.
type hang struct {
	*node
	*watch
	others   []string
	attempts time.Duration // how long two hung attempts take
	from     int           // the first status of this recovery
}

// hangAt makes each later command of this name hang.
func (h *hang) hangAt(command string) {
	h.t.Helper()
	h.WriteFile(hungFile, "", 0o666, 0)
	h.WriteFile(hangFile, command, 0o644, 0)
}

// goOn lets the hung command go on, and waits until all is well again.
func (h *hang) goOn() {
	h.t.Helper()
	h.Remove(hangFile)
	h.WaitFor(30*time.Second, "a running container", func() bool {
		return slices.Contains(h.running(), "hung")
	})
	if _, shown := h.tryAwait(10*time.Second, "hung runs", func(st shownStatus) bool {
		return st.row("hung").Now == "running"
	}); !shown {
		h.t.Errorf("hung runs now, and the status does not say so:\n%s", h.shown())
	}
	h.waitSaved(append([]string{"hung"}, h.others...)...)
	h.WaitFor(30*time.Second, "the end of the soak", func() bool {
		_, err := h.ReadFile(h.dataFile("in-flight.json"))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// begin runs a command that hangs, and returns when it does.
func (h *hang) begin(args ...string) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	if err := h.user.Command(ctx, args...).Start(); err != nil {
		h.t.Fatal(err)
	}
	h.WaitFor(20*time.Second, "a hung command", func() bool {
		text, err := h.ReadFile(hungFile)
		return err == nil && text != ""
	})
}

// killDaemonAnd kills containers and the daemon, and waits for the next daemon's
// first answer.
func (h *hang) killDaemonAnd(names ...string) {
	h.t.Helper()
	var pids []string
	for _, name := range names {
		pids = append(pids, h.pid(name))
	}
	daemon := h.daemonPID()
	h.MustRun(append([]string{"kill", "-9"}, pids...)...)
	h.MustRun("systemctl", "kill", "-s", "KILL", h.node.unit())
	h.await(30*time.Second, "the next daemon", func(st shownStatus) bool {
		return st.PID != 0 && fmt.Sprint(st.PID) != daemon
	})
	h.from = len(h.all()) - 1
}

// wantOthersUp waits for READY and checks what was said of the named containers on
// the way.
func (h *hang) wantOthersUp(when string, names []string) {
	h.t.Helper()
	ready := h.awaitReady(3 * time.Minute)
	// Assessment waits 5 s for podman's list. The rest is for a busy machine.
	if took, limit := ready.took(), h.attempts+5*time.Second+20*time.Second; took > limit {
		h.t.Errorf("%s, READY came after %s, want at most %s", when, took, limit)
	}
	h.t.Logf("%s, READY came after %s; hung is %s", when, ready.took(), ready.row("hung").State)
	if row := ready.row("hung"); row.State == recover.RowFailed {
		if waited := ready.Finished.Sub(row.Ended()); waited > 2*time.Second {
			h.t.Errorf("%s, READY came %s after the last attempt of hung", when, waited)
		}
	}
	seen := h.all()[h.from:]
	started := h.lastEvents("start")
	for _, name := range names {
		var calledUp time.Time
		worst := map[string]bool{}
		for _, st := range seen {
			row := st.row(name)
			switch {
			case row.State == recover.RowUp && calledUp.IsZero():
				calledUp = st.at
			case row.State == recover.RowFailed, row.State == recover.RowRetrying, row.State == recover.RowFell:
				worst[string(row.State)] = true
			case len(row.Attempts) > 1:
				worst["tried twice"] = true
			}
		}
		if len(worst) > 0 {
			h.t.Errorf("%s, %s was called %v: %s", when, name, worst, ready.row(name).Error)
		}
		if calledUp.IsZero() {
			h.t.Errorf("%s, %s was never called up: it is %s", when, name, ready.row(name).State)
		} else if late := calledUp.Sub(started[name]); late > 5*time.Second {
			h.t.Errorf("%s, %s was called up %s after podman had started it", when, name, late)
		}
	}
	for _, name := range h.others {
		if row := ready.row(name); row.State != recover.RowUp && row.State != recover.RowActive && row.Name != "" {
			h.t.Errorf("%s, %s is %s: %s", when, name, row.State, row.Error)
		}
	}
}

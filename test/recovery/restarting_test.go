package recovery

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A container that systemd or podman starts again and again is restarting, and never
// called up for good. There is no second attempt beside theirs, and READY comes.
func TestContainerRestarting(t *testing.T) {
	// The time limits are for a slow and busy host, on which a restart has taken 7 s. A container
	// that runs for a whole soak between two restarts is called up, so the soak is near its default
	// of 20 s. The pause is short since nothing is tried twice here.
	const limit = 90 * time.Second
	onBothInstances(t, "RetryPauseSec=1\nSoakSec=15\n", func(n *node) {
		const again = "Restart=always\nRestartSec=1\n[Unit]\nStartLimitIntervalSec=0"
		n.quadlet("good", 1, "", "")
		n.user.Systemctl("start", "good")
		n.enable()
		n.waitSaved("good")
		n.quadlet("loop", 1, "Exec=-needs database", again)
		n.quadlet("direct", 1, "Exec=-needs database", "RestartMode=direct\n"+again)
		n.quadlet("settles", 1, n.stateVolume("settles")+"\nExec=-state /state -fail-times 2", again)
		n.user.MustRun("podman", "create", "--restart=always", "--name", "plainloop", machine.Image, "-exit-after", "1s")
		n.cutPower("good", "loop", "direct", "settles", "plainloop")
		n.BootNoWait()
		w := n.watch()

		st := w.awaitReady(limit)
		if took := st.took(); took > 30*time.Second {
			n.t.Errorf("READY came after %s", took)
		}
		// The manager's own count shows that the containers are really restarted.
		for _, unit := range []string{"loop.service", "direct.service"} {
			n.WaitFor(limit, "three restarts of "+unit, func() bool {
				restarts, err := strconv.Atoi(n.user.Show(unit, "NRestarts")["NRestarts"])
				return err == nil && restarts >= 3
			})
		}
		n.WaitFor(limit, "three restarts of plainloop", func() bool {
			return n.restartCount("plainloop") >= 3
		})
		loops := []string{"loop", "direct", "plainloop"}
		_, all := w.tryAwait(limit, "the loops", func(st shownStatus) bool {
			for _, name := range loops {
				if row := st.row(name); row.State != recover.RowRestarting || row.Restarts < 2 {
					return false
				}
			}
			return true
		})
		if !all {
			n.t.Errorf("not all of %q are restarting:\n%s", loops, n.shown())
		}
		// The third start of this one lasts.
		if _, lasted := w.tryAwait(limit, "settles up", func(st shownStatus) bool {
			row := st.row("settles")
			return row.State == recover.RowUp && row.Restarts == 2
		}); !lasted {
			n.t.Errorf("settles lasts since its second restart, and is not up after 2 restarts:\n%s", n.shown())
		}
		if got := n.startCount("settles"); got != "3" {
			n.t.Errorf("settles was started %s times, want 3 times", got)
		}
		shown := map[string]bool{}
		for _, st := range w.all() {
			for _, row := range st.Containers {
				if len(row.Attempts) > 1 && !shown[row.Name] {
					shown[row.Name] = true
					n.t.Errorf("%s had %d attempts of recovery beside the restarts", row.Name, len(row.Attempts))
				}
			}
		}
		wantRestarting := func(st shownStatus) {
			n.t.Helper()
			for _, name := range loops {
				if row := st.row(name); row.State != recover.RowRestarting {
					n.t.Errorf("%s is %s after its soak", name, row.State)
				}
			}
		}
		wantRestarting(w.last())
		n.wantNotAllRecovered()
		if out := n.shown(); !strings.Contains(out, "restarting") {
			n.t.Errorf("the status does not say that containers are restarting:\n%s", out)
		}
	})
}

// restartCount returns how often podman has restarted a container by itself.
func (n *node) restartCount(name string) int {
	n.t.Helper()
	var count int
	text := n.user.MustRun("podman", "inspect", "--format", "{{.RestartCount}}", name)
	if _, err := fmt.Sscan(text, &count); err != nil {
		n.t.Fatalf("%v in %q", err, text)
	}
	return count
}

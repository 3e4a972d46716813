package recovery

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// seenWithin is how soon the status shows the end of a container after podman's entry of it. The bench
// measures that (row fall: at most 1 s). Here other tests keep the host busy, and the next look by itself
// would come only after minutes.
const seenWithin = 5 * time.Second

// A start counts when it lasts. A container that ends at once is tried twice and then
// has fallen. One that ends later within its soak has fallen, too, and one that ends
// after its soak was recovered and is down now.
func TestContainerFalls(t *testing.T) {
	// Longer than the default: the falls after READY have to be within it on a busy host, too.
	onBothInstances(t, "RetryPauseSec=1\nSoakSec=45\n", func(n *node) {
		// READY waits for this one, so that the first falls come before it.
		n.quadlet("slow", 1, "Notify=true\nExec=-ready-after 15s", "")
		n.quadlet("late", 1, "", "")
		n.plain("plainlate", 1)
		n.user.Systemctl("start", "slow", "late")
		n.enable()
		n.waitSaved("late", "plainlate", "slow")
		n.quadlet("broken", 1, "Exec=-needs database", "")
		n.user.MustRun("podman", "create", "--name", "plainbroken", "--label", tierLabel(1), machine.Image,
			"-needs", "database")
		n.quadlet("needsdb", 1, n.stateVolume("needsdb")+"\nExec=-state /state -fail-times 1", "")
		n.cutPower("slow", "late", "plainlate", "broken", "plainbroken", "needsdb")
		n.BootNoWait()
		w := n.watch()

		w.awaitReady(60 * time.Second)
		st, fell := w.tryAwait(5*time.Second, "the falls", func(st shownStatus) bool {
			return st.row("broken").State == recover.RowFell && st.row("plainbroken").State == recover.RowFell
		})
		if !fell {
			n.t.Errorf("broken and plainbroken end at once and have not fallen:\n%s", n.shown())
		}
		n.wantFall(st.row("broken"), 2, 1)
		n.wantFall(st.row("plainbroken"), 2, 1)
		for _, name := range []string{"slow", "late", "plainlate"} {
			if row := st.row(name); row.State != recover.RowUp || len(row.Attempts) != 1 || row.Now != "running" {
				n.t.Errorf("%s is %s after %d attempts, now %q", name, row.State, len(row.Attempts), row.Now)
			}
		}
		// The second attempt is just right for a program whose database was not ready.
		if row := st.row("needsdb"); row.State != recover.RowUp || len(row.Attempts) != 2 ||
			row.Attempts[0].Fell == nil || row.Attempts[1].Fell != nil {
			n.t.Errorf("needsdb, which fails at its first start, is %s: %+v", row.State, row.Attempts)
		}
		n.wantNotAllRecovered()
		n.wantWarned()
		n.wantShownFall("broken", 1)

		n.cli("hold", "1h") // what fell is looked at as it is, and not tried again

		// After READY a fall amends the report, whatever starts the container again.
		ready := n.micros(n.Shell, n.unit(), "ActiveEnterTimestampMonotonic")
		n.killed(w, "late")
		n.killed(w, "plainlate")
		st, fell = w.tryAwait(5*time.Second, "the later falls", func(st shownStatus) bool {
			return st.row("late").State == recover.RowFell && st.row("plainlate").State == recover.RowFell
		})
		if !fell {
			n.t.Errorf("late and plainlate ended within their soak and have not fallen:\n%s", n.shown())
		}
		n.wantFall(st.row("late"), 1, 137)
		n.wantFall(st.row("plainlate"), 1, 137)
		if now := n.micros(n.Shell, n.unit(), "ActiveEnterTimestampMonotonic"); now != ready {
			n.t.Errorf("the service became active again at %d µs, and had at %d µs", now, ready)
		}

		// After its soak the container was recovered, and it is down now.
		n.waitSoaked()
		n.killed(w, "slow")
		st = w.last()
		if row := st.row("slow"); row.State != recover.RowUp {
			n.t.Errorf("slow lasted its soak and is %s", row.State)
		}
		if st.Now["running"] != 1 || st.Now["down"] != 5 {
			n.t.Errorf("now %v, want 1 running and 5 down", st.Now)
		}
		if out := n.shown(); !regexp.MustCompile(`\b1 runs? now\b`).MatchString(out) {
			n.t.Errorf("status does not say that 1 runs now:\n%s", out)
		}
		n.wantShownFall("late", 137)
		modes := strings.Fields(n.MustRun("find", n.dataFile("history"), "-type", "f", "-printf", "%m\n"))
		if len(modes) == 0 || slices.ContainsFunc(modes, func(mode string) bool { return mode != "600" }) {
			n.t.Errorf("the modes of the reports are %q: they quote output, so only the owner may read them", modes)
		}
	})
}

// killed kills the container's program and checks that the status soon says that it
// is down.
func (n *node) killed(w *watch, name string) {
	n.t.Helper()
	n.MustRun("kill", "-9", n.pid(name))
	st, seen := w.tryAwait(10*time.Second, name+" is down", func(st shownStatus) bool {
		return st.row(name).Now == "down"
	})
	if !seen {
		n.t.Errorf("%s was killed, and the status does not say that it is down:\n%s", name, n.shown())
		return
	}
	took := st.at.Sub(n.lastEvents("died")[name])
	n.t.Logf("%s: down in the status %s after podman's entry", name, took)
	if took > seenWithin {
		n.t.Errorf("%s was down in the status only %s after podman's entry", name, took)
	}
}

// wantFall checks a row whose last attempt ended in a fall.
func (n *node) wantFall(row shownRow, attempts, exitCode int) {
	n.t.Helper()
	if row.State != recover.RowFell || row.Now != "down" || len(row.Attempts) != attempts {
		n.t.Errorf("%s is %q after %d attempts, now %q; want fell after %d attempts, now down",
			row.Name, row.State, len(row.Attempts), row.Now, attempts)
	}
	for i, attempt := range row.Attempts {
		if attempt.Fell == nil {
			n.t.Errorf("attempt %d of %s did not end in a fall: %+v", i+1, row.Name, attempt)
			continue
		}
		fell := *attempt.Fell
		if fell.ExitCode != exitCode || fell.At.Before(attempt.Started) || (row.Generated && fell.Result != "") {
			n.t.Errorf("attempt %d of %s ended in the fall %+v, want exit code %d", i+1, row.Name, fell, exitCode)
		}
	}
}

// wantShownFall checks that each view of the recovery shows the fall of a container.
func (n *node) wantShownFall(name string, exitCode int) {
	n.t.Helper()
	says := regexp.MustCompile(fmt.Sprintf(`\b%s fell after [0-9.]+ ?[a-zµ]+ \(exit code %d\)`, name, exitCode))
	if text := n.shown(); !says.MatchString(text) {
		n.t.Errorf("the status does not say that %s fell:\n%s", name, text)
	}
	if page := n.cli("report", "--html"); !strings.Contains(page, "fell") {
		n.t.Errorf("the page does not show that %s fell: %s", name, excerpt(page, name))
	}
	if picture := n.cli("plot"); !strings.Contains(picture, "fell") {
		n.t.Errorf("the picture shows no fall: %s", excerpt(picture, name))
	}
	if text := n.Show(n.unit(), "StatusText")["StatusText"]; !strings.Contains(text, "fell") {
		n.t.Errorf("STATUS is %q", text)
	}
	log := n.Journal("-b", "-o", "json", "-p", "warning", "-u", n.unit(), "CONTAINER="+name)
	if !strings.Contains(log, "fell") {
		n.t.Errorf("no warning in the journal says that %s fell: %s", name, n.Journal("-b", "CONTAINER="+name))
	}
}

// excerpt returns the lines of a text that hold a word, or the text's begin.
func excerpt(text, word string) string {
	var found []string
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		return text[:min(len(text), 500)]
	}
	return strings.Join(found[:min(len(found), 5)], "")
}

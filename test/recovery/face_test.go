package recovery

import (
	"encoding/json"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// What a person asks after a power cut, with a daemon and without one: the
// verbs agree, and those that need none leave the data directory as it is.
func TestTheVerbsThatTellOfARecovery(t *testing.T) {
	both(t, "RetryPauseSec=1\nDefaultTier=4\n", func(n *node) {
		n.quadlet("sql", 0, "", "")
		n.user.Systemctl("start", "sql")
		n.plain("web", 3)
		n.enable()
		n.saved("sql", "web")
		died := n.BootID()
		n.crash()
		n.wait()
		n.wantRunning("sql", "web")

		status := n.cli("status")
		for _, want := range []string{"Next check of the snapshot: 2", "recovery complete: 2 containers run", "cause power-loss"} {
			if !strings.Contains(status, want) {
				n.t.Errorf("status does not say %q:\n%s", want, status)
			}
		}
		if n.uid == 0 { // for who tries it by hand
			n.t.Log(status, n.cli("report"), n.cli("report", "--list"), n.cli("blame"), n.cli("plan"), n.cli("boots"), n.cli("quarantine", "list"))
		}
		if report := n.cli("report"); !strings.Contains(report, "host-crash") || !strings.Contains(report, "sql.service") {
			n.t.Errorf("report:\n%s", report)
		}
		if blame := n.cli("blame"); !strings.Contains(blame, "sql") || !strings.Contains(blame, "web") {
			n.t.Errorf("blame:\n%s", blame)
		}
		if plot := n.cli("plot"); !strings.HasPrefix(plot, "<svg ") {
			n.t.Errorf("plot: %.100s", plot)
		}
		asked := n.plan()
		wantPlan(n, asked)
		if boots := n.cli("boots"); !strings.Contains(line(boots, died), ": 2 started") {
			n.t.Errorf("boots:\n%s", boots)
		}

		// Now without a daemon.
		n.MustRun("systemctl", "stop", strings.Replace(n.unit(), ".service", ".socket", 1), n.unit())
		listing := []string{"find", n.data(""), "-printf", "%p %s %T@\n"}
		before := n.MustRun(listing...)
		for _, verb := range []string{"report", "blame", "plot", "boots"} {
			n.cli(verb)
		}
		alone := n.plan()
		wantPlan(n, alone)
		if notes := strings.Join(alone.Notes, "\n"); !strings.Contains(notes, "no daemon answers") || !strings.Contains(notes, "the last run ended in order") {
			n.t.Errorf("notes are %q", notes)
		}
		if config := n.cli("config"); !strings.Contains(config, "50-test.conf:4\nDefaultTier=4\n") {
			n.t.Errorf("config:\n%s", config)
		}
		if after := n.MustRun(listing...); after != before {
			n.t.Errorf("the data directory was changed:\n%s\nbefore:\n%s", after, before)
		}
		n.wantRunning("sql", "web")
	})
}

func (n *node) plan() recover.Preview {
	n.t.Helper()
	var p recover.Preview
	if err := json.Unmarshal([]byte(n.cli("plan", "--json")), &p); err != nil {
		n.t.Fatal(err)
	}
	return p
}

// wantPlan wants both containers, though they run, with the time that they took.
func wantPlan(n *node, p recover.Preview) {
	n.t.Helper()
	var got []string
	for _, b := range p.Batches {
		for _, c := range b.Containers {
			if c.ExpectedSeconds == nil || c.Unit == "" {
				n.t.Errorf("of %s not all is known: %+v", c.Name, c)
			}
			got = append(got, c.Name)
		}
	}
	if strings.Join(got, " ") != "sql web" || len(p.Batches) != 2 || len(p.CriticalPath) != 2 {
		n.t.Errorf("plan %+v", p)
	}
}

// line is the line of a text that holds a word.
func line(text, word string) string {
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			return l
		}
	}
	return ""
}

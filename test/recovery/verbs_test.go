package recovery

import (
	"encoding/json"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// The verbs that report a recovery agree, with a daemon and without one. Without a
// daemon they leave the data directory unchanged.
func TestReportVerbs(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1\nDefaultTier=4\n", func(n *node) {
		n.quadlet("sql", 0, "", "")
		n.user.Systemctl("start", "sql")
		n.plain("web", 3)
		n.enable()
		n.waitSaved("sql", "web")
		died := n.BootID()
		n.crash()
		n.waitRecovered()
		n.wantRunning("sql", "web")

		status := n.cli("status")
		for _, want := range []string{
			"Next check of the snapshot: 2", "recovery complete: 2 containers run", "cause power-loss",
		} {
			if !strings.Contains(status, want) {
				n.t.Errorf("status does not say %q:\n%s", want, status)
			}
		}
		if n.uid == 0 { // the log shows a reader all of these outputs
			n.t.Log(status, n.cli("report"), n.cli("report", "--list"), n.cli("blame"), n.cli("plan"),
				n.cli("boots"), n.cli("quarantine", "list"))
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
		wantPlan(n, n.plan())
		if boots := n.cli("boots"); !strings.Contains(line(boots, died), ": 2 started") {
			n.t.Errorf("boots:\n%s", boots)
		}

		// The rest is without a daemon.
		n.MustRun("systemctl", "stop", n.socketUnit(), n.unit())
		listing := []string{"find", n.dataFile(""), "-printf", "%p %s %T@\n"}
		before := n.MustRun(listing...)
		for _, verb := range []string{"report", "blame", "plot", "boots"} {
			n.cli(verb)
		}
		alone := n.plan()
		wantPlan(n, alone)
		notes := strings.Join(alone.Notes, "\n")
		if !strings.Contains(notes, "no daemon answers") || !strings.Contains(notes, "the last run ended in order") {
			n.t.Errorf("the notes are %q", notes)
		}
		if config := n.cli("config"); !strings.Contains(config, "50-test.conf:4\nDefaultTier=4\n") {
			n.t.Errorf("config:\n%s", config)
		}
		if after := n.MustRun(listing...); after != before {
			n.t.Errorf("the data directory has changed:\n%s\nbefore:\n%s", after, before)
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

// wantPlan checks that the plan holds both containers, although they run, with
// their expected times.
func wantPlan(n *node, p recover.Preview) {
	n.t.Helper()
	var got []string
	for _, b := range p.Batches {
		for _, c := range b.Containers {
			if c.ExpectedSeconds == nil || c.Unit == "" {
				n.t.Errorf("the expected time or the unit of %s is missing: %+v", c.Name, c)
			}
			got = append(got, c.Name)
		}
	}
	if strings.Join(got, " ") != "sql web" || len(p.Batches) != 2 || len(p.CriticalPath) != 2 {
		n.t.Errorf("plan %+v", p)
	}
}

// line returns the first line of a text that holds a word.
func line(text, word string) string {
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			return l
		}
	}
	return ""
}

package control

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape asks for the metrics. Prometheus' parser reads them and its linter
// checks the names.
func scrape(t *testing.T, d *instance) map[string]*dto.MetricFamily {
	t.Helper()
	a := d.ask("GET /metrics", "")
	if a.StatusCode != http.StatusOK {
		t.Fatalf("got %s: %s", a.Status, a.body)
	}
	if format := expfmt.ResponseFormat(a.Header); format.FormatType() != expfmt.TypeTextPlain {
		t.Errorf("the format is %q", format)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, a.body)
	}
	problems, err := promlint.New(strings.NewReader(a.body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %+v, %v", problems, err)
	}
	return families
}

// value returns the value of the sample with these labels (name, value, name,
// value, …), or -1 if there is none.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	family := families["archy_recovery_"+name]
	for _, m := range family.GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && has[labels[i]] == labels[i+1]
		}
		switch {
		case !matches:
		case family.GetType() == dto.MetricType_COUNTER:
			return m.GetCounter().GetValue()
		default:
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

func TestMetricsDuringAndAfterRecovery(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := crashed(release)
	w.UserStopped = []string{"old", "older"}
	w.Quarantine = recover.Quarantine{
		{Name: "bad", Strikes: 2, BootID: "b0", Quarantined: true},
		{Name: "odd", Strikes: 1, BootID: "b0"},
	}
	w.Reports = []recover.Report{
		{ID: 1, Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: recover.CausePowerLoss}},
		{ID: 2, Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: recover.CausePowerLoss}},
		{ID: 3, Verdict: recover.Verdict{Ending: recover.EndedCleanly}},
	}
	d := newDaemon(t, w, os.Getuid())
	before := scrape(t, d)
	if v := value(before, "phase", "phase", "assessing"); v != 1 {
		t.Errorf("before recovery, phase assessing is %v", v)
	}
	d.run()
	err := d.client.Follow(t.Context(), func(st Status) bool {
		return len(st.Containers) == 0 || st.Containers[0].State != recover.RowStarting
	})
	if err != nil {
		t.Fatal(err)
	}
	during := scrape(t, d)
	close(release)
	d.ready()
	after := scrape(t, d)
	for _, c := range []struct {
		name   string
		labels []string
		during float64
		after  float64
	}{
		{"build_info", []string{"version", "1.2.3"}, 1, 1},
		{"boot_info", []string{"boot_id", "b2"}, 1, 1},
		{"complete", nil, 0, 1},
		{"phase", []string{"phase", "recovering"}, 1, 0},
		{"phase", []string{"phase", "ready"}, 0, 1},
		{"mode_info", []string{"mode", "normal"}, 1, 1},
		{"last_run_info", []string{"verdict", "host-crash"}, 1, 1},
		{"last_run_unclean", nil, 1, 1},
		{"containers", []string{"state", "starting"}, 1, 0},
		{"containers", []string{"state", "up"}, 0, 1},
		{"start_attempts_total", nil, 1, 1},
		{"start_failures_total", nil, 0, 0},
		{"user_stopped_containers", nil, 2, 2},
		{"user_stopped_lost", nil, 0, 0},
		{"journal_volatile", nil, 0, 0},
		{"suspects", nil, 2, 2},
		{"quarantined_containers", nil, 1, 1},
		{"snapshot_containers", nil, 1, 1},
		{"history_recoveries", []string{"verdict", "host-crash", "cause", "power-loss"}, 2, 2},
		{"api_refusals_total", nil, 0, 0},
		{"api_event_streams", nil, -2, 0},
	} {
		if v := value(during, c.name, c.labels...); v != c.during && c.during != -2 {
			t.Errorf("during recovery %s%q is %v, want %v", c.name, c.labels, v, c.during)
		}
		if v := value(after, c.name, c.labels...); v != c.after && c.name != "api_event_streams" {
			t.Errorf("after recovery %s%q is %v, want %v", c.name, c.labels, v, c.after)
		}
	}
	if n := value(after, "history_recoveries", "verdict", "host-crash", "cause", "unknown"); n != 1 {
		t.Errorf("this recovery is in the history %v times, want once", n)
	}
	if at := value(after, "finished_timestamp_seconds"); time.Since(time.UnixMilli(int64(at*1000))).Abs() > time.Minute {
		t.Errorf("finished_timestamp_seconds is %v, want now", at)
	}
	if n := value(after, "api_connections"); n < 1 {
		t.Errorf("%v connections", n)
	}
}

func TestMetricsOfFailedContainers(t *testing.T) {
	t.Parallel()
	e := &exposition{common: []string{"uid", "0"}}
	ended := time.Unix(9, 0)
	containerMetrics(e, []recover.Row{
		{Name: "db", Tier: 2, State: recover.RowFailed,
			Attempts: []recover.Attempt{{Ended: ended, Error: "x"}, {Ended: ended, Error: "y"}}},
		{Name: "web", State: recover.RowUp,
			Attempts: []recover.Attempt{{Ended: ended, Error: "x"}, {Ended: ended}}},
		{Name: "slow", State: recover.RowStarting, Attempts: []recover.Attempt{{}}},
	})
	for _, want := range []string{
		`archy_recovery_container_failed{uid="0",container="db",tier="2"} 1`,
		`archy_recovery_start_attempts_total{uid="0"} 5`,
		`archy_recovery_start_failures_total{uid="0"} 3`,
		`archy_recovery_containers{uid="0",state="failed"} 1`,
	} {
		if !strings.Contains(e.text.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, e.text.String())
		}
	}
	if strings.Count(e.text.String(), "container_failed{") != 1 {
		t.Error("containers that did not fail are reported as failed")
	}
}

func TestMetricsUserStoppedLost(t *testing.T) {
	t.Parallel()
	w := running()
	w.UserStoppedErr = recover.ErrLost
	if v := value(scrape(t, newDaemon(t, w, os.Getuid())), "user_stopped_lost"); v != 1 {
		t.Errorf("user_stopped_lost is %v", v)
	}
}

func TestMetricsJournalVolatile(t *testing.T) {
	t.Parallel()
	e := &exposition{}
	stateMetrics(e, recover.Status{JournalVolatile: true}, nil, false)
	if want := "journal_volatile{} 1\n"; !strings.Contains(e.text.String(), want) {
		t.Errorf("no %s in\n%s", want, e.text.String())
	}
}

// A label's value may contain any character.
func TestMetricLabelEscaping(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`a"b`, `a\b`, "a\nb", `\`, "ä", `\n`} {
		e := &exposition{}
		e.gauge("x", "Help.", single(1, "a", text))
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(e.text.String()))
		if err != nil || value(families, "x", "a", text) != 1 {
			t.Errorf("%q: %v in %s", text, err, e.text.String())
		}
	}
}

// A scrape reads the history again only if something has changed.
func TestHistoryCache(t *testing.T) {
	t.Parallel()
	var h historyCache
	reads := 0
	load := func() ([]recover.Report, error) { reads++; return nil, nil }
	now, later := make(chan struct{}), make(chan struct{})
	for _, step := range []struct {
		changed chan struct{}
		reads   int
	}{{now, 1}, {now, 1}, {later, 2}, {later, 2}} {
		if _, err := h.read(load, step.changed); err != nil || reads != step.reads {
			t.Errorf("%d reads, want %d; %v", reads, step.reads, err)
		}
	}
}

// docs/metrics.md lists exactly the metrics that metrics.go writes.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `archy_recovery_([a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
	}
	written := map[string]bool{}
	code, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`e\.(?:gauge|counter)\("([a-z_]+)"`).FindAllStringSubmatch(string(code), -1) {
		written[m[1]] = true
	}
	if len(written) < 20 || !maps.Equal(documented, written) {
		t.Errorf("documented are\n%q, written are\n%q",
			slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(written)))
	}
}

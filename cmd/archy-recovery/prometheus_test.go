package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const prometheusFiles = "../../packaging/prometheus"

// promtool runs Prometheus' own checker (package prometheus). Without it the test is skipped: `make test` installs it.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Each alert rule fires when it should, and not when all is well.
func TestAlertRules(t *testing.T) {
	promtool(t, "check", "rules", prometheusFiles+"/archy-recovery.rules.yml")
	promtool(t, "test", "rules", prometheusFiles+"/archy-recovery.test.yml")
}

// Each alert has a test.
func TestAlertsTested(t *testing.T) {
	rules := readFile(t, prometheusFiles+"/archy-recovery.rules.yml")
	tests := readFile(t, prometheusFiles+"/archy-recovery.test.yml")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) == 0 {
		t.Fatal("there are no rules")
	}
	for _, alert := range alerts {
		if strings.Count(tests, alert[1]) < 2 {
			t.Errorf("%s is not tested both ways", alert[1])
		}
	}
}

func TestScrapeConfig(t *testing.T) {
	promtool(t, "check", "config", "--syntax-only", prometheusFiles+"/prometheus.yml")
}

// Each expression of the dashboard is one that Prometheus can parse. promtool has no command that parses just
// expressions, so they become recording rules.
func TestDashboardExpressions(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, expr := range dashboardExpressions(t) {
		quoted, err := json.Marshal(expr) // YAML takes a JSON string
		if err != nil {
			t.Fatal(err)
		}
		rules.WriteString("  - {record: expression, expr: " + string(quoted) + "}\n")
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

// dashboardExpressions are those of the panels. Each panel has a place of its own, a title and at least one.
func dashboardExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, prometheusFiles+"/grafana-dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	places := map[[2]int]string{}
	for _, panel := range dashboard.Panels {
		if panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %d (%q) has %d expressions", panel.ID, panel.Title, len(panel.Targets))
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %q, or beyond the page", panel.Title, other)
				}
				places[[2]int{x, y}] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}

// Rules, tests and dashboard name only metrics that exist, with labels that they have.
func TestPrometheusMetricsExist(t *testing.T) {
	labels := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `(archy_recovery_\\w+)` \\| ([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(readFile(t, "../../docs/metrics.md"), -1) {
		labels[m[1]] = m[2] + " `uid` `job` `instance`"
	}
	if len(labels) < 20 {
		t.Fatalf("docs/metrics.md lists %d metrics", len(labels))
	}
	files := map[string]string{"the dashboard": strings.Join(dashboardExpressions(t), "\n")}
	for _, name := range []string{"archy-recovery.rules.yml", "archy-recovery.test.yml"} {
		files[name] = readFile(t, filepath.Join(prometheusFiles, name))
	}
	use := regexp.MustCompile(`(archy_recovery_\w+)(\{[^}]*\})?`)
	label := regexp.MustCompile(`(\w+)=~?"|(\w+)!=`)
	for file, text := range files {
		for _, m := range use.FindAllStringSubmatch(text, -1) {
			known, exists := labels[m[1]]
			if !exists {
				t.Errorf("%s: there is no metric %s", file, m[1])
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if !strings.Contains(known, "`"+l[1]+l[2]+"`") {
					t.Errorf("%s: %s has no label %s", file, m[1], l[1]+l[2])
				}
			}
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// A prometheus is the one on the node, which scrapes the node in both of the ways that the
// examples have.
type prometheus struct {
	n      *node
	client http.Client
}

// Two jobs: through nginx, and through the textfile collector of node_exporter.
var jobs = []string{"archy-recovery-1000", "node"}

const examples = "/usr/share/doc/archy-recovery/examples/prometheus/"

// An alert of the shipped rules fires after a cut that leaves a container down, and ends when
// that is mended. The panels of the dashboard show something.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	n := newNode(t, "RetryPauseSec=1\n")
	p := n.startPrometheus()
	n.quadlet(machine.User, "db", 0, "")
	n.quadlet(machine.User, "web", 1, "")
	n.user.Systemctl("start", "db", "web")
	n.MustRun("systemctl", "enable", "--now", instance)
	n.waitSaved(saved, "db", "web")
	n.quadlet(machine.User, "web", 1, "Exec=-state /nowhere")
	n.crash()
	n.waitRecovered()

	p.await(time.Minute, "HostWentDown", func(firing []string) bool { return len(firing) == len(jobs) })
	p.await(2*time.Minute, "ContainerNotRecovered", func(firing []string) bool { return slices.Equal(firing, jobs) })
	p.askDashboard()

	n.quadlet(machine.User, "web", 1, "")
	n.user.Systemctl("start", "web")
	p.await(2*time.Minute, "ContainerNotRecovered", func(firing []string) bool { return len(firing) == 0 })
	if text := p.ask("query", `sum(archy_recovery_containers_now{now="running"})`); !strings.Contains(text, `"4"`) {
		t.Errorf("of two containers, scraped in two ways, there run %s", text)
	}
}

// startPrometheus installs the examples as their comments say, and starts Prometheus with them.
// Cockpit has Prometheus' usual port.
func (n *node) startPrometheus() *prometheus {
	n.t.Helper()
	n.MustRun("adduser", "www-data", "archy-recovery")
	n.MustRun("install", "-m", "644", examples+"nginx.conf", "/etc/nginx/conf.d/archy-recovery.conf")
	// Two minutes would be most of the test's time. promtool tests that the rule waits for so long.
	rules := n.MustRun("cat", examples+"archy-recovery.rules.yml")
	n.WriteFile("/etc/prometheus/archy-recovery.rules.yml",
		strings.ReplaceAll(rules, "        for: 2m\n", "        for: 20s\n"), 0o644, 0)
	n.MustRun("install", "-m", "644", "-t", "/etc/systemd/system",
		examples+"archy-recovery-metrics@.service", examples+"archy-recovery-metrics@.timer")
	config := n.MustRun("cat", examples+"prometheus.yml")
	config = strings.NewReplacer(
		`"node1.example:9942", "node2.example:9942"`, `"127.0.0.1:9942"`,
		`"node3.example:9100"`, `"127.0.0.1:9100"`).Replace(config)
	if strings.Contains(config, ".example") {
		n.t.Fatalf("prometheus.yml has other targets:\n%s", config)
	}
	n.WriteFile("/etc/prometheus/prometheus.yml",
		"global: {scrape_interval: 5s, evaluation_interval: 5s}\n"+config, 0o644, 0)
	n.WriteFile("/etc/default/prometheus", "ARGS=\"--web.listen-address=127.0.0.1:9091\"\n", 0o644, 0)
	n.MustRun("systemctl", "daemon-reload")
	n.MustRun("systemctl", "restart", "nginx", "prometheus")
	n.MustRun("systemctl", "enable", "--now", "archy-recovery-metrics@1000.timer")
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.Dial(ctx, network, "127.0.0.1:9091")
	}
	// No connection outlives a boot.
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &prometheus{n, http.Client{Timeout: 10 * time.Second, Transport: transport}}
}

// get returns the data of an answer of Prometheus' API.
func (p *prometheus) get(path string, data any) error {
	res, err := p.client.Get("http://prometheus/api/v1/" + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// await waits until the jobs for which an alert fires are as wanted.
func (p *prometheus) await(limit time.Duration, name string, wanted func(firing []string) bool) {
	p.n.t.Helper()
	var firing []string
	defer func() { p.n.t.Logf("%s fires for %q", name, firing) }()
	p.n.WaitFor(limit, "a change of the alert "+name, func() bool {
		var alerts struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
		if p.get("alerts", &alerts) != nil {
			return false
		}
		firing = nil
		for _, alert := range alerts.Alerts {
			if alert.Labels["alertname"] == name && alert.State == "firing" {
				firing = append(firing, alert.Labels["job"])
			}
		}
		slices.Sort(firing)
		return wanted(firing)
	})
}

// ask returns the result of a query as JSON.
func (p *prometheus) ask(kind, query string) string {
	p.n.t.Helper()
	var data struct{ Result json.RawMessage }
	if err := p.get(kind+"?query="+url.QueryEscape(query), &data); err != nil {
		p.n.t.Errorf("%s: %v", query, err)
	}
	return string(data.Result)
}

// askDashboard asks for what each panel shows.
func (p *prometheus) askDashboard() {
	p.n.t.Helper()
	text, err := os.ReadFile("../../packaging/prometheus/grafana-dashboard.json")
	if err != nil {
		p.n.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		p.n.t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := strings.NewReplacer("$instance", ".*", "$uid", ".*", "$__range", "1h").Replace(target.Expr)
			if strings.Contains(expr, "$") {
				p.n.t.Errorf("%s: the test does not know a variable of %s", panel.Title, expr)
			}
			if result := p.ask("query", expr); result == "[]" {
				p.n.t.Errorf("%s shows nothing: %s", panel.Title, expr)
			}
		}
	}
}

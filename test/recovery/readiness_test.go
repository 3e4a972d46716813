package recovery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// readyAfter is when the containers of these tests are healthy, from their start.
const readyAfter = 2 * time.Second

// healthOptions have podman check a container only every 30 s.
func healthOptions(after time.Duration) []string {
	return []string{"--health-interval=30s", fmt.Sprintf(`--health-cmd=["/testapp","-check-age","%s"]`, after)}
}

// plainWith starts a container without a unit, with more options of podman run.
func (n *node) plainWith(name string, tier int, options ...string) {
	n.t.Helper()
	n.user.MustRun(append(append([]string{"podman", "run", "--detach", "--name", name, "--label", tierLabel(tier)},
		options...), machine.Image)...)
}

// rowsOf are the rows of a status, by name.
func rowsOf(st control.Status) map[string]recover.Row {
	rows := map[string]recover.Row{}
	for _, row := range st.Containers {
		rows[row.Name] = row
	}
	return rows
}

// wantReadyInTime checks that a container was healthy when its check could first pass, and
// that another one started after that, and not much later.
func (n *node) wantReadyInTime(rows map[string]recover.Row, name, next string) {
	n.t.Helper()
	row := rows[name]
	healthy := row.LastAttempt().Healthy
	n.t.Logf("%s started, was up after %.2f s and healthy after %.2f s; %s started after %.2f s", name,
		row.Took().Seconds(), healthy.Sub(row.Started()).Seconds(), next, rows[next].Started().Sub(row.Started()).Seconds())
	if row.State != recover.RowUp || row.Health != recover.HealthPassed || healthy.Sub(row.Started()) < readyAfter {
		n.t.Errorf("%s is %s, %q, healthy at %s", name, row.State, row.Health, healthy)
	}
	if rows[next].Started().Before(healthy) {
		n.t.Errorf("%s started before %s was healthy", next, name)
	}
	// A third of the interval: it did not wait for podman's own check.
	if took := rows[next].Started().Sub(row.Started()); took > 12*time.Second {
		n.t.Errorf("%s started only after %s", next, took)
	}
	n.wantPodmanHealth(name, "healthy")
}

// wantPodmanHealth checks what podman says of a container's health.
func (n *node) wantPodmanHealth(name, want string) {
	n.t.Helper()
	var got string
	n.WaitFor(10*time.Second, "podman to say that "+name+" is "+want, func() bool {
		got = strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Health.Status}}", name))
		return got == want
	})
}

// A tier waits for the health checks of the one before. Recovery runs them itself, and does
// not wait for the interval. It waits neither for a container with io.archy.wait=active,
// nor for one without a check, nor for the last tier.
func TestReadiness(t *testing.T) {
	onBothInstances(t, "TierDeadlineSec=45\n", func(n *node) {
		check := "HealthInterval=30s\nHealthCmd=[\"/testapp\",\"-check-age\",\"%s\"]"
		n.quadlet("sql", 0, fmt.Sprintf(check, readyAfter), "")
		n.plainWith("redis", 1, healthOptions(readyAfter)...)
		n.plainWith("lazy", 2, append(healthOptions(time.Hour), "--label="+recover.WaitLabel+"=active")...)
		n.quadlet("app", 3, "", "")
		n.quadlet("web", 4, fmt.Sprintf(check, time.Hour), "")
		n.user.Systemctl("start", "sql", "app", "web")
		n.enable()
		n.waitSaved("sql", "redis", "lazy", "app", "web")
		n.crash()
		st := n.waitRecovered()
		n.wantRunning("sql", "redis", "lazy", "app", "web")
		rows := rowsOf(st)
		n.wantReadyInTime(rows, "sql", "redis")
		n.wantReadyInTime(rows, "redis", "lazy")
		for _, name := range []string{"lazy", "app", "web"} {
			if row := rows[name]; row.State != recover.RowUp || row.Health != "" {
				n.t.Errorf("%s is %s, %q", name, row.State, row.Health)
			}
		}
		if took := rows["app"].Started().Sub(rows["lazy"].Ended()); took > 10*time.Second {
			n.t.Errorf("app waited %s for lazy", took)
		}
	})
}

// A container that is never healthy delays the next tier until the tier's deadline. It
// stays up and is started once. A check that hangs delays nobody else. With
// WaitFor=healthy READY waits, too.
func TestNeverHealthy(t *testing.T) {
	onBothInstances(t, "TierDeadlineSec=12\nWaitFor=healthy\n", func(n *node) {
		n.plainWith("never", 0, healthOptions(time.Hour)...)
		n.plainWith("hangs", 0, "--health-interval=30s", `--health-cmd=["/testapp","-ready-after","1h"]`)
		n.plainWith("sql", 0, healthOptions(readyAfter)...)
		n.plainWith("app", 1, healthOptions(readyAfter)...)
		n.enable()
		n.waitSaved("never", "hangs", "sql", "app")
		n.crash()
		rows := rowsOf(n.waitRecovered())
		for _, name := range []string{"never", "hangs"} {
			row := rows[name]
			if row.State != recover.RowUp || row.Health != recover.HealthLate || len(row.Attempts) != 1 {
				n.t.Errorf("%s is %s, %q, after %d attempts", name, row.State, row.Health, len(row.Attempts))
			}
		}
		for _, name := range []string{"sql", "app"} {
			if row := rows[name]; row.Health != recover.HealthPassed {
				n.t.Errorf("%s is %s, %q", name, row.State, row.Health)
			}
		}
		// The tier began a little before never was started.
		if wait := rows["app"].Started().Sub(rows["never"].Started()); wait < 11900*time.Millisecond {
			n.t.Errorf("app started %s after never", wait)
		}
		if status := n.cli("status"); !strings.Contains(status, "not healthy yet") {
			n.t.Errorf("status says\n%s", status)
		}
		n.wantRunning("never", "hangs", "sql", "app")
	})
}

// Debian 12 has podman 4.3.
func TestReadinessOnDebian12(t *testing.T) {
	onDebian12(t, "", func(n *node) {
		n.plainWith("sql", 0, healthOptions(readyAfter)...)
		n.plain("app", 3)
		n.enable()
		n.waitSaved("sql", "app")
		n.crash()
		n.wantReadyInTime(rowsOf(n.waitRecovered()), "sql", "app")
	})
}

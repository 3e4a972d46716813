package main

import (
	"encoding/json"
	"fmt"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// readyIn is when the database of the row is ready, from its start.
const readyIn = 2 * time.Second

// readinessRow measures when the next tier starts after a database that is ready after 2 s, and
// that podman checks every 30 s: where recovery runs its health check, and where podman
// alone does, and tells systemd (Notify=healthy).
func readinessRow(b *bench, r *Result) {
	m := installed(b)
	r.With += tools(m)
	var ours, podmans []float64
	for i, c := range []struct {
		notify, waitFor string
		figures         *[]float64
	}{{"", "auto", &ours}, {"Notify=healthy\n", "active", &podmans}} {
		// The soak lies behind what is measured. With a short one no container is a suspect of the next cut.
		m.WriteFile("/etc/archy-recovery.conf.d/90-readiness.conf",
			"[Recovery]\nSoakSec=1\nWaitFor="+c.waitFor+"\n", 0o644, 0)
		database := fmt.Sprintf("[Container]\nImage=%s\nContainerName=sql\nLabel=%s=0\n%sHealthInterval=30s\n"+
			"HealthCmd=[\"/testapp\",\"-check-age\",\"%s\"]\n", machine.Image, recover.TierLabel, c.notify, readyIn)
		m.Quadlet(0, "sql.container", database)
		m.Quadlet(0, "app.container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=app\nLabel=%s=1\n",
			machine.Image, recover.TierLabel))
		if i > 0 {
			m.MustRun("systemctl", "stop", "sql", "app")
		}
		m.MustRun("systemctl", "start", "sql", "app")
		m.MustRun("systemctl", "enable", "--now", unit)
		m.MustRun("archy-recovery", "snapshot")
		for range b.rounds {
			*c.figures = append(*c.figures, readinessTrial(b.t, m))
		}
	}
	r.Title = "the next tier, after a database that is ready after 2 s and checked every 30 s"
	r.claimAtMost("from the start of the database to the start of the next tier", "≤ 2.5 s", "s", ours, 2.5)
	r.draw("recovery runs the health check", "s", ours)
	r.draw("podman runs it (Notify=healthy, WaitFor=active)", "s", podmans)
	r.note("Both start the database at the same moment. The bench asks the report, which is counted by the daemon.")
}

// readinessTrial cuts the power and returns the seconds from the start of the database to that
// of the next tier.
func readinessTrial(t machine.TB, m *machine.Machine) float64 {
	m.PullPlug()
	m.BootNoWait()
	m.WaitFor(5*time.Minute, "READY", func() bool { return m.Show(unit, "ActiveState")["ActiveState"] == "active" })
	var st control.Status
	if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "status", "--json")), &st); err != nil {
		t.Fatalf("status: %v", err)
	}
	rows := map[string]recover.Row{}
	for _, row := range st.Containers {
		rows[row.Name] = row
		if row.State != recover.RowUp || len(row.Attempts) != 1 {
			t.Fatalf("%s is %s after %d attempts: %s", row.Name, row.State, len(row.Attempts), row.Error)
		}
	}
	time.Sleep(4 * time.Second) // until no container is a suspect of the next cut
	return rows["app"].Started().Sub(rows["sql"].Started()).Seconds()
}

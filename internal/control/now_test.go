package control

import (
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// Each row says what its container does now, and the counts are of the rows. The
// service's own rows stay as they are.
func TestStatusNow(t *testing.T) {
	t.Parallel()
	rows := []recover.Row{
		{Name: "db", State: recover.RowUp}, {Name: "web", State: recover.RowUp},
		{Name: "app", State: recover.RowRestarting}, {Name: "broken", State: recover.RowFell},
		{Name: "new", State: recover.RowUp},
	}
	got, counts := rowsNow(rows, map[string]recover.NowState{
		"db": recover.NowRunning, "web": recover.NowRunning, "app": recover.NowRestarting,
		"broken": recover.NowDown, "other": recover.NowRunning,
	})
	var states []recover.NowState
	for n, row := range got {
		states = append(states, row.Now)
		if rows[n].Now != "" {
			t.Errorf("the service's row of %s was changed", row.Name)
		}
	}
	want := []recover.NowState{"running", "running", "restarting", "down", "unknown"}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("the rows say (-want +got):\n%s", diff)
	}
	if want := (NowCounts{Running: 2, Restarting: 1, Down: 1, Unknown: 1}); counts != want {
		t.Errorf("counts %+v, want %+v", counts, want)
	}
	if got, _ := rowsNow(nil, nil); got == nil {
		t.Error("JSON has null for no rows")
	}
}

func TestStatusNowLine(t *testing.T) {
	t.Parallel()
	at := time.Unix(9, 0)
	st := Status{Containers: []recover.Row{
		{Name: "db", State: recover.RowUp, Now: recover.NowRunning, Attempts: []recover.Attempt{{Started: at, Ended: at}}},
		{Name: "broken", State: recover.RowFell, Now: recover.NowDown, Attempts: []recover.Attempt{
			{Started: at, Ended: at, Fell: &recover.Fall{At: at.Add(20 * time.Millisecond), ExitCode: 1}}}},
	}}
	if want := "2 started, 1 runs now; broken fell after 0.02 s (exit code 1)"; st.NowLine() != want {
		t.Errorf("got %q, want %q", st.NowLine(), want)
	}
}

func TestNotRecovered(t *testing.T) {
	t.Parallel()
	var st Status
	for _, state := range recover.RowStates() {
		st.Containers = append(st.Containers, recover.Row{Name: string(state), State: state})
	}
	var got []string
	for _, row := range st.NotRecovered() {
		got = append(got, row.Name)
	}
	if want := "restarting fell failed no-network damaged missing quarantined held"; strings.Join(got, " ") != want {
		t.Errorf("not recovered are %q, want %s", got, want)
	}
}

func TestMetricsOfNow(t *testing.T) {
	t.Parallel()
	at := time.Unix(9, 0)
	fall := &recover.Fall{At: at, ExitCode: 1}
	rows := []recover.Row{
		{Name: "db", State: recover.RowUp},
		{Name: "broken", Tier: 2, State: recover.RowFell, Attempts: []recover.Attempt{
			{Ended: at, Error: "x", Fell: fall}, {Ended: at, Error: "x", Fell: fall}}},
		{Name: "app", Tier: 1, State: recover.RowRestarting, Restarts: 3},
		{Name: "slow", State: recover.RowUp, Restarts: 1},
		{Name: "gone", Tier: 4, State: recover.RowMissing},
		{Name: "old", State: recover.RowUserStopped},
	}
	e := &exposition{common: []string{"uid", "0"}}
	containerMetrics(e, rows)
	nowMetrics(e, NowCounts{Running: 2, Restarting: 1, Down: 3})
	for _, want := range []string{
		`archy_recovery_containers{uid="0",state="fell"} 1`,
		`archy_recovery_containers{uid="0",state="restarting"} 1`,
		`archy_recovery_containers{uid="0",state="done"} 0`,
		`archy_recovery_containers_now{uid="0",now="running"} 2`,
		`archy_recovery_containers_now{uid="0",now="restarting"} 1`,
		`archy_recovery_containers_now{uid="0",now="down"} 3`,
		`archy_recovery_containers_now{uid="0",now="unknown"} 0`,
		`archy_recovery_container_not_recovered{uid="0",container="broken",tier="2",state="fell"} 1`,
		`archy_recovery_container_not_recovered{uid="0",container="app",tier="1",state="restarting"} 1`,
		`archy_recovery_container_not_recovered{uid="0",container="gone",tier="4",state="missing"} 1`,
		`archy_recovery_container_falls_total{uid="0"} 2`,
		`archy_recovery_container_restarts_total{uid="0"} 4`,
	} {
		if !strings.Contains(e.text.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, e.text.String())
		}
	}
	if strings.Count(e.text.String(), "container_not_recovered{") != 3 {
		t.Error("containers that recovery brought back, or was not to, are not recovered")
	}
}

package cli

import (
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestWaitProgress(t *testing.T) {
	began := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	row := func(name string, tier int, state recover.RowState, times ...float64) recover.Row {
		r := recover.Row{Name: name, Tier: tier, State: state}
		if len(times) > 0 {
			r.Queued = at(times[0])
			r.Attempts = []recover.Attempt{{Started: at(times[0])}}
		}
		if len(times) > 1 {
			r.Attempts[0].Ended = at(times[1])
		}
		return r
	}
	history := recover.Report{Rows: []recover.Row{
		row("bitcoin", 1, recover.RowUp, 0, 3), row("lnd", 2, recover.RowUp, 0, 2), row("odd", 3, recover.RowUp, 0, 4),
	}}
	st := control.Status{State: recover.Recovering, Started: began,
		Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: "power-loss"}}
	st.Containers = []recover.Row{
		row("db", 0, recover.RowUp, 0.5, 2), row("cache", 0, recover.RowFailed, 0.5, 1),
		row("bitcoin", 1, recover.RowStarting, 2), row("web", 1, recover.RowRetrying, 2, 3),
		row("api", 1, recover.RowUp, 2, 2.5),
		row("ran", 2, recover.RowActive), row("lnd", 2, recover.RowQueued), row("new", 2, recover.RowQueued),
		row("odd", 3, recover.RowQueued),
	}
	st.Containers[8].Alone = true
	var got []string
	for _, l := range progressLines(st, recover.Expect([]recover.Report{history}), at(3.25)) {
		got = append(got, l.render(0, false))
	}
	want := []string{
		"recovering for 3.2s, after a crash of the host: power loss",
		"✗ tier 0   1/2 up  1.5s                    ✗ cache db ",
		"▸ tier 1   1/3 up  1.2s of at least 3s     ✗ web bitcoin api ",
		"· tier 2   0/2 up  at least 2s             lnd new ",
		"· alone    0/1 up  about 4s                odd ",
	}
	for i := range want {
		if i >= len(got) {
			t.Fatalf("lines %q", got)
		}
	}
	if diff := cmp.Diff(want[0], got[0]); diff != "" {
		t.Error(diff)
	}
	for i, l := range got[1:] {
		if diff := cmp.Diff(compact(want[i+1]), compact(l)); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i+1, diff)
		}
	}
}

// The time in the display keeps its width, as far as digits allow.
func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 0: "0.0s", 950 * time.Millisecond: "0.9s", 2 * time.Second: "2.0s",
		59990 * time.Millisecond: "59.9s", time.Minute: "1min 00.0s", 65300 * time.Millisecond: "1min 05.3s",
		15 * time.Minute: "15min 00.0s",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("%s is shown as %q, want %q", d, got, want)
		}
	}
}

// A container that fell or is restarting is among those that fail; a job that has
// ended is among those that are up.
func TestWaitProgressFalls(t *testing.T) {
	began := time.Now()
	row := func(name string, state recover.RowState) recover.Row {
		return recover.Row{Name: name, State: state, Queued: began,
			Attempts: []recover.Attempt{{Started: began, Ended: began}}}
	}
	st := control.Status{State: recover.Ready, Containers: []recover.Row{
		row("broken", recover.RowFell), row("app", recover.RowRestarting), row("backup", recover.RowDone),
	}}
	lines := progressLines(st, nil, began)
	want := "✗ tier 0 1/3 up ✗ broken ✗ app backup"
	if got := compact(lines[1].render(0, false)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// At the end the display says after what time recovery was complete.
func TestWaitProgressComplete(t *testing.T) {
	began := time.Now()
	st := control.Status{State: recover.Ready, Started: began, Finished: began.Add(7600 * time.Millisecond)}
	if got := progressLines(st, nil, began.Add(time.Hour))[0].render(0, false); got != "ready after 7.6s" {
		t.Errorf("got %q", got)
	}
}

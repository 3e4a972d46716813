package recover

import (
	"testing"
	"time"
)

// took is a report in which each container took so many milliseconds.
func took(state RowState, ms map[string]int) Report {
	var r Report
	begin := time.Unix(1000, 0)
	for name, n := range ms {
		r.Rows = append(r.Rows, Row{Name: name, State: state,
			Attempts: []Attempt{{Started: begin, Ended: begin.Add(time.Duration(n) * time.Millisecond)}}})
	}
	return r
}

func TestExpectedStarts(t *testing.T) {
	history := []Report{
		took(RowUp, map[string]int{"odd": 900, "even": 100}),
		took(RowUp, map[string]int{"odd": 100, "even": 300}),
		took(RowFailed, map[string]int{"odd": 120000, "broken": 5}),
		took(RowUp, map[string]int{"odd": 60000, "back": -5}),
	}
	for range 20 {
		history = append(history, took(RowUp, map[string]int{"grown": 10}))
	}
	for range rememberStarts {
		history = append(history, took(RowUp, map[string]int{"grown": 5000}))
	}
	e := Expect(history)
	for name, want := range map[string]time.Duration{
		"odd": 900 * time.Millisecond, "even": 200 * time.Millisecond, "broken": 0, "back": 0, "new": 0,
		"grown": 5 * time.Second,
	} {
		if got, known := e.Start(name); got != want || known != (want > 0) {
			t.Errorf("%s is expected to take %s (%v), want %s", name, got, known, want)
		}
	}
	d, slowest, unknown := e.Tier([]string{"even", "odd", "new", "broken"})
	if d != 900*time.Millisecond || slowest != "odd" || unknown != 2 {
		t.Errorf("the tier takes %s, for %s, without %d", d, slowest, unknown)
	}
	if d, slowest, unknown := e.Tier(nil); d != 0 || slowest != "" || unknown != 0 {
		t.Error("an empty tier takes time")
	}
}

// Twice the same history says nothing new: the order within a report is of no
// importance, nor does asking change what is known.
func TestExpectIsRepeatable(t *testing.T) {
	e := Expect([]Report{took(RowUp, map[string]int{"a": 30}), took(RowUp, map[string]int{"a": 10}),
		took(RowUp, map[string]int{"a": 20})})
	for range 3 {
		if d, _ := e.Start("a"); d != 20*time.Millisecond {
			t.Fatalf("a takes %s", d)
		}
	}
	if e["a"][0] != 30*time.Millisecond {
		t.Error("the starts are in another order now")
	}
}

// A container that came up hours later, when a server was back, is not expected to take hours.
func TestExpectAfterRetries(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	attempt := func(after, took time.Duration) Attempt {
		return Attempt{Started: at.Add(after), Ended: at.Add(after + took)}
	}
	row := Row{Name: "a", State: RowUp, Retry: &Retry{Tries: 1}, Attempts: []Attempt{
		attempt(0, time.Second), attempt(11*time.Second, time.Second), attempt(5*time.Hour, 3*time.Second)}}
	if took, known := Expect([]Report{{Rows: []Row{row}}}).Start("a"); !known || took != 3*time.Second {
		t.Errorf("expected are %s, want 3 s", took)
	}
	row.Attempts[2].Healthy = row.Attempts[2].Started.Add(8 * time.Second)
	if took, _ := Expect([]Report{{Rows: []Row{row}}}).Start("a"); took != 8*time.Second {
		t.Errorf("with a health check expected are %s, want 8 s", took)
	}
}
